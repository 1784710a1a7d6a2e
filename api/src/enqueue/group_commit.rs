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
    audit::Author,
    batch::{BatchLimits, Batcher, by_tenant},
    clock::Clock,
    db::{Database, DbError, Engine, PlatformTx},
    ids::{JobId, TenantId},
    jobs::{Enqueued, NewJob, OrderedJobs, count_waiting_of, enqueue_for_tenants, lock_waiting_of},
    queue::Gate,
};

use super::{tell_gate::tell_gate, told_orders::ToldOrders, waiting_cap::Places};
use crate::error::ApiError;

/// Jobs on their way into the record: all of them or none.
#[derive(Debug)]
pub struct Order {
    /// Whose jobs they are.
    pub tenant: TenantId,
    /// One at least. Where there are several, they are of one kind, so that whatever leaves one of them out of a
    /// statement leaves out all, and that kind supersedes nothing.
    pub jobs: Arc<[NewJob]>,
    /// Who ordered them.
    pub author: Arc<Author>,
    /// Their places below the cap. Where there are several jobs, it is far.
    pub places: Places,
}

impl Order {
    /// Most jobs of an order. More fill a statement by themselves.
    pub const MOST_JOBS: usize = 200;

    fn is_lone(&self) -> bool {
        self.jobs.len() == 1
    }
}

/// What became of an order.
#[derive(Debug)]
pub enum Fate {
    /// Its jobs were written, at this instant.
    At(DateTime<Utc>),
    /// They were not, because the tenant is not active or the scope of one of them is drained.
    LeftOut,
    /// It was not written, because as many jobs wait as may.
    Full(ApiError),
}

/// The fate, or why the statement failed.
pub type Outcome = Result<Fate, Arc<DbError>>;

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
    let start = |limits| {
        let writer = Writer {
            database: database.clone(),
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
    gate: Gate,
    clock: Clock,
    told: ToldOrders,
}

impl Writer {
    async fn commit(&self, orders: Vec<Order>) -> Vec<Outcome> {
        let now = self.clock.now();
        match write(&self.database, &orders, now).await {
            Ok(Written { enqueued, full }) => {
                tell_gate(&self.gate, jobs_of(&orders), &enqueued, now).await;
                let orders = orders.into_iter();
                orders
                    .map(|order| Ok(self.fate(order, &enqueued.written, &full, now)))
                    .collect()
            }
            Err(error) if orders.len() == 1 || !error.may_be_one_rows() => {
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
        written: &HashSet<JobId>,
        full: &HashMap<JobId, u32>,
        now: DateTime<Utc>,
    ) -> Fate {
        let Order {
            tenant,
            jobs,
            author,
            places,
        } = order;
        if let Some(used) = jobs.iter().find_map(|job| full.get(&job.id)) {
            return Fate::Full(places.refuse(*used));
        }
        if !jobs.iter().all(|job| written.contains(&job.id)) {
            return Fate::LeftOut;
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

struct Written {
    enqueued: Enqueued,
    /// Jobs for which there was no place, each with how many waited.
    full: HashMap<JobId, u32>,
}

async fn write(
    database: &Database,
    orders: &[Order],
    now: DateTime<Utc>,
) -> Result<Written, DbError> {
    let needs_transaction = orders.iter().any(|order| {
        order.places.limit().is_some() || order.jobs.iter().any(|job| job.supersedes(now))
    });
    if needs_transaction {
        let mut tx = database.engine().begin().await?;
        let full = find_full(&mut tx, orders).await?;
        let enqueued = enqueue_for_tenants(&mut tx, &rows(orders, &full), now).await?;
        tx.commit().await?;
        Ok(Written { enqueued, full })
    } else {
        let full = HashMap::new();
        let mut tx = database.engine().statement().await?;
        let enqueued = enqueue_for_tenants(&mut tx, &rows(orders, &full), now).await?;
        Ok(Written { enqueued, full })
    }
}

fn rows<'a>(orders: &'a [Order], full: &HashMap<JobId, u32>) -> Vec<(&'a TenantId, &'a NewJob)> {
    let mut jobs = jobs_of(orders);
    jobs.retain(|(_, job)| !full.contains_key(&job.id));
    jobs
}

fn jobs_of(orders: &[Order]) -> Vec<(&TenantId, &NewJob)> {
    orders
        .iter()
        .flat_map(|order| order.jobs.iter().map(|job| (&order.tenant, job)))
        .collect()
}

/// Those of the orders for which there is no place, first come first served. Until the end of the
/// transaction nobody else who is near these caps writes.
async fn find_full(
    tx: &mut PlatformTx<Engine>,
    orders: &[Order],
) -> Result<HashMap<JobId, u32>, DbError> {
    let limits: HashMap<&TenantId, u32> = orders
        .iter()
        .filter_map(|order| Some((&order.tenant, order.places.limit()?)))
        .collect();
    if limits.is_empty() {
        return Ok(HashMap::new());
    }
    let tenants: Vec<&TenantId> = limits.keys().copied().collect();
    lock_waiting_of(tx, &tenants).await?;
    let wanted: Vec<(&TenantId, u32)> = limits
        .iter()
        .map(|(tenant, limit)| (*tenant, *limit))
        .collect();
    let mut waiting = count_waiting_of(tx, &wanted).await?;
    let mut full = HashMap::new();
    for order in orders {
        let limit = limits.get(&order.tenant);
        let used = waiting.entry(order.tenant.clone()).or_default();
        for job in order.jobs.iter() {
            match limit {
                Some(limit) if *used >= *limit => {
                    full.insert(job.id, *used);
                }
                Some(_) | None => *used = used.saturating_add(1),
            }
        }
    }
    Ok(full)
}
