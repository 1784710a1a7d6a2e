//! Tells the audit log of jobs that were ordered, a moment after their commit.
//!
//! A tenant's log is held from an entry to the commit that it belongs to. If orders wrote theirs, a
//! tenant's orders would take turns, each for as long as a commit takes. So they are told by the way:
//! the first at once, those that come meanwhile together, for each author in one entry. A process that
//! dies in between leaves jobs that nobody is told of; their rows name the request.

use std::{num::NonZeroUsize, time::Duration};

use chrono::{DateTime, Utc};
use unity_shared::{
    batch::{BatchLimits, Batcher, by_tenant},
    clock::Clock,
    db::{Database, DbError},
    jobs::{OrderedJobs, tell_of_orders},
    telemetry::chain,
};

const LIMITS: BatchLimits = BatchLimits {
    items: 10_000,
    calls: NonZeroUsize::MIN,
};
/// Between two writes, so that a flood of orders is some entries a second.
const PAUSE: Duration = Duration::from_millis(200);
/// A database that is away is asked again so often.
const TRIES: u32 = 5;
/// How long a process that stops goes on telling.
const FAREWELL: Duration = Duration::from_secs(5);

/// The way to the audit log. Clones share it.
#[derive(Debug, Clone)]
pub struct ToldOrders(Batcher<Option<OrderedJobs>, ()>);

impl ToldOrders {
    /// Call it inside a tokio runtime.
    pub fn start(database: Database, clock: Clock) -> Self {
        Self(Batcher::start(
            LIMITS,
            move |orders: Vec<Option<OrderedJobs>>| {
                let (database, clock) = (database.clone(), clock.clone());
                async move {
                    let answers = vec![(); orders.len()];
                    let orders: Vec<OrderedJobs> = orders.into_iter().flatten().collect();
                    if !orders.is_empty() {
                        write(&database, orders, &clock).await;
                        tokio::time::sleep(PAUSE).await;
                    }
                    answers
                }
            },
        ))
    }

    /// Will be told within a second. Nobody waits for it.
    pub fn tell(&self, order: OrderedJobs) {
        drop(self.0.send(Some(order)));
    }

    /// Waits until whatever was ordered so far is told, or it takes too long.
    pub async fn finish(&self) {
        if tokio::time::timeout(FAREWELL, self.0.call(None))
            .await
            .is_err()
        {
            tracing::error!("the audit log was not told of the last jobs that were ordered");
        }
    }
}

/// All at once; or tenant by tenant if somebody holds the log of one of them, or one cannot be told.
async fn write(database: &Database, orders: Vec<OrderedJobs>, clock: &Clock) {
    match try_write(database, &orders, clock.now()).await {
        Ok(()) => {}
        Err(error) if error.may_be_one_rows() => {
            let tenants = by_tenant(orders, |order| &order.tenant);
            let each = tenants
                .values()
                .map(|own| write_patiently(database, own, clock));
            futures::future::join_all(each).await;
        }
        Err(_) => write_patiently(database, &orders, clock).await,
    }
}

async fn write_patiently(database: &Database, orders: &[OrderedJobs], clock: &Clock) {
    for again in 1..=TRIES {
        let error = match try_write(database, orders, clock.now()).await {
            Ok(()) => return,
            Err(error) => error,
        };
        if !error.retryable() || again == TRIES {
            let lost: usize = orders.iter().map(|order| order.jobs.len()).sum();
            let lost = u64::try_from(lost).unwrap_or(u64::MAX);
            metrics::counter!("unity_audit_orders_lost_total").increment(lost);
            tracing::error!(
                error = chain(&error),
                lost,
                "could not tell of ordered jobs"
            );
            return;
        }
        tokio::time::sleep(PAUSE * again).await;
    }
}

async fn try_write(
    database: &Database,
    orders: &[OrderedJobs],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut tx = database.engine().statement().await?;
    tell_of_orders(&mut tx, orders, now).await
}
