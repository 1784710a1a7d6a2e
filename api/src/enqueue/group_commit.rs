//! Writes the jobs of requests that arrive together in one statement.
//!
//! A commit costs the same for one row as for hundreds, and so does much of a statement. While one is under
//! way the next collects; a lone request is written at once. Each request is judged by itself: one that the
//! database will not take fails alone, and of one with several jobs all are written or none. Tenants that are
//! near their cap have a queue of their own, because their rows are counted first and others must not wait
//! for that; and so have requests with several jobs, which lone ones must not wait for.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
};

use chrono::{DateTime, Utc};
use unity_shared::{
    batch::{BatchLimits, Batcher, by_tenant},
    clock::Clock,
    db::{Database, DbError, KeptSessions},
    ids::{JobId, TenantId},
    jobs::OrderedJobs,
    queue::Gate,
};

use super::{
    order::{Fate, Order, Outcome},
    tell_gate::tell_gate,
    told_orders::ToldOrders,
    write_orders::{Skip, Written, jobs_of, write_orders},
};

/// The queues in front of the statement.
#[derive(Debug, Clone)]
pub struct GroupCommit {
    far: Batcher<Order, Outcome>,
    near: Batcher<Order, Outcome>,
    several: Batcher<Order, Outcome>,
}

/// While one commit waits for the disk and one tells the gate, a third is written.
const FAR: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN.saturating_add(2),
};
/// A second call would only wait for the locks of the first.
const NEAR: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN,
};

/// A thousand jobs at most: a larger statement saves nothing more, and those behind it wait longer.
const SEVERAL: BatchLimits = BatchLimits { items: 5, ..FAR };

/// Starts the queues.
pub fn start_group_commit(
    database: &Database,
    gate: &Gate,
    clock: &Clock,
    told: &ToldOrders,
) -> GroupCommit {
    let sessions = KeptSessions::new(database, FAR.calls.get() + SEVERAL.calls.get());
    let start = |limits| {
        let writer = Writer {
            database: database.clone(),
            sessions: sessions.clone(),
            gate: gate.clone(),
            clock: clock.clone(),
            told: told.clone(),
        };
        Batcher::start(limits, move |orders: Vec<Order>| {
            let writer = writer.clone();
            async move { writer.commit(orders).await }
        })
    };
    GroupCommit {
        far: start(FAR),
        near: start(NEAR),
        several: start(SEVERAL),
    }
}

impl GroupCommit {
    /// Writes the jobs with whatever else arrives now; `None` when the queue has ended.
    pub async fn call(&self, order: Order) -> Option<Outcome> {
        let queue = match order.places.limit() {
            Some(_) => &self.near,
            None if order.is_lone() => &self.far,
            None => &self.several,
        };
        queue.call(order).await
    }
}

/// What writing needs.
#[derive(Clone)]
struct Writer {
    database: Database,
    sessions: KeptSessions,
    gate: Gate,
    clock: Clock,
    told: ToldOrders,
}

impl Writer {
    async fn commit(&self, orders: Vec<Order>) -> Vec<Outcome> {
        let now = self.clock.now();
        match write_orders(&self.database, &self.sessions, &orders, now).await {
            Ok(Written { enqueued, skipped }) => {
                tell_gate(&self.gate, jobs_of(orders.iter()), &enqueued, now).await;
                let orders = orders.into_iter().zip(skipped);
                orders
                    .map(|(order, skip)| Ok(self.fate(order, skip, &enqueued.written, now)))
                    .collect()
            }
            Err(error) if orders.len() == 1 || !may_be_one_orders(&error) => {
                let error = Arc::new(error);
                orders.iter().map(|_| Err(Arc::clone(&error))).collect()
            }
            Err(error) => {
                // One of them is to blame; the others must not suffer for it, nor wait for it.
                let first = orders.first().map(|order| &order.tenant);
                if orders.iter().any(|order| Some(&order.tenant) != first) {
                    return self.commit_by_tenant(orders).await;
                }
                if error.retryable() {
                    let error = Arc::new(error);
                    return orders.iter().map(|_| Err(Arc::clone(&error))).collect();
                }
                let mut outcomes = Vec::with_capacity(orders.len());
                for order in orders {
                    outcomes.extend(Box::pin(self.commit(vec![order])).await);
                }
                outcomes
            }
        }
    }

    /// The orders of each tenant in a statement of their own, all at once; the outcomes in the order of the
    /// orders.
    async fn commit_by_tenant(&self, orders: Vec<Order>) -> Vec<Outcome> {
        let places: Vec<TenantId> = orders.iter().map(|order| order.tenant.clone()).collect();
        let tenants = by_tenant(orders, |order| &order.tenant);
        let each = tenants.into_iter().map(|(tenant, own)| async move {
            let outcomes = Box::pin(self.commit(own)).await;
            (tenant, outcomes.into_iter())
        });
        let mut outcomes: HashMap<TenantId, _> =
            futures::future::join_all(each).await.into_iter().collect();
        places
            .iter()
            .filter_map(|tenant| outcomes.get_mut(tenant)?.next())
            .collect()
    }

    fn fate(
        &self,
        order: Order,
        skip: Option<Skip>,
        written: &HashSet<JobId>,
        now: DateTime<Utc>,
    ) -> Fate {
        let is_written = order.is_written(written);
        let Order {
            tenant,
            jobs,
            author,
            places,
            keep: _,
        } = order;
        match skip {
            Some(Skip::Full(used)) => return Fate::Full(places.refuse(used)),
            Some(Skip::Repeated) => return Fate::Repeated,
            None if !is_written => return Fate::LeftOut,
            None => {}
        }
        places.settle();
        self.told.tell(OrderedJobs {
            tenant,
            jobs: jobs.iter().map(|job| (job.id, job.kind_name())).collect(),
            author,
        });
        Fate::At(now)
    }
}

/// Whether one of several orders may be to blame. Two transactions stand in each other's way over a key, or what a
/// job supersedes, of one tenant.
const fn may_be_one_orders(error: &DbError) -> bool {
    error.may_be_one_rows() || matches!(error, DbError::Conflict(_))
}
