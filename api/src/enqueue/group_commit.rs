//! Writes the jobs of requests that arrive together in one statement.
//!
//! A commit costs the same for one row as for hundreds. While one is under way the next collects; a
//! lone request is written at once. Each job is judged by itself: one that the database will not take
//! fails alone.

use std::{num::NonZeroUsize, sync::Arc};

use chrono::{DateTime, Utc};
use unity_shared::{
    batch::{BatchLimits, Batcher},
    clock::Clock,
    db::{Database, DbError},
    jobs::{Enqueued, JobOrdered, enqueue_for_tenants},
    queue::Gate,
};

use super::tell_gate::tell_gate;

/// When the job was written; `None` if its tenant is not active or its scope is drained.
pub type Outcome = Result<Option<DateTime<Utc>>, Arc<DbError>>;

/// The queue in front of the statement.
pub type GroupCommit = Batcher<JobOrdered, Outcome>;

/// While one commit waits for the disk and one tells the gate, a third is written.
const LIMITS: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN.saturating_add(2),
};

/// Starts the queue.
pub fn start_group_commit(database: Database, gate: Gate, clock: Clock) -> GroupCommit {
    Batcher::start(LIMITS, move |orders: Vec<JobOrdered>| {
        let (database, gate, clock) = (database.clone(), gate.clone(), clock.clone());
        async move { commit(&database, &gate, &clock, &orders).await }
    })
}

async fn commit(
    database: &Database,
    gate: &Gate,
    clock: &Clock,
    orders: &[JobOrdered],
) -> Vec<Outcome> {
    let now = clock.now();
    match write(database, orders, now).await {
        Ok(enqueued) => {
            tell_gate(
                gate,
                orders.iter().map(|order| (&order.tenant, &order.job)),
                &enqueued,
                now,
            )
            .await;
            orders
                .iter()
                .map(|order| Ok(enqueued.written.contains(&order.job.id).then_some(now)))
                .collect()
        }
        Err(error) if error.retryable() || orders.len() == 1 => {
            let error = Arc::new(error);
            orders.iter().map(|_| Err(Arc::clone(&error))).collect()
        }
        Err(_) => {
            // One of them is to blame; the others must not suffer for it.
            let mut outcomes = Vec::with_capacity(orders.len());
            for order in orders {
                outcomes.extend(
                    Box::pin(commit(database, gate, clock, std::slice::from_ref(order))).await,
                );
            }
            outcomes
        }
    }
}

async fn write(
    database: &Database,
    orders: &[JobOrdered],
    now: DateTime<Utc>,
) -> Result<Enqueued, DbError> {
    if orders.iter().any(|order| order.job.supersedes(now)) {
        let mut tx = database.engine().begin().await?;
        let enqueued = enqueue_for_tenants(&mut tx, orders, now).await?;
        tx.commit().await?;
        Ok(enqueued)
    } else {
        let mut tx = database.engine().statement().await?;
        enqueue_for_tenants(&mut tx, orders, now).await
    }
}
