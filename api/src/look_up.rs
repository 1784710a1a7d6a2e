//! Reads the jobs of requests that arrive together in one round trip.
//!
//! A poll for a job's status costs the database little, but each one apart costs several round trips.
//! While one is under way the next collects. Each job is read in its tenant's name.

use std::{num::NonZeroUsize, sync::Arc};

use unity_shared::{
    batch::{BatchLimits, Batcher},
    db::{Database, DbError},
    ids::{JobId, TenantId},
    jobs::{FoundJob, find_jobs, find_jobs_of_nobody},
};

/// The queue in front of the statement. The answer is `None` where the tenant has no such job.
pub type JobReads = Batcher<(TenantId, JobId), FoundJob>;

/// While one answer is read the next statement runs.
const LIMITS: BatchLimits = BatchLimits {
    items: 200,
    calls: NonZeroUsize::MIN.saturating_add(1),
};

/// Starts the queue.
pub fn start_job_reads(database: Database) -> JobReads {
    start(move |wanted| {
        let database = database.clone();
        async move {
            let mut tx = database.each_tenant().await?;
            find_jobs(&mut tx, &wanted).await
        }
    })
}

/// Starts a queue whose statement reads in nobody's name, for measurements of what the tenant's costs.
pub fn start_job_reads_of_nobody(database: Database) -> JobReads {
    start(move |wanted| {
        let database = database.clone();
        async move {
            let mut tx = database.engine().statement().await?;
            find_jobs_of_nobody(&mut tx, &wanted).await
        }
    })
}

fn start<F, Fut>(read: F) -> JobReads
where
    F: Fn(Arc<[(TenantId, JobId)]>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<Vec<FoundJob>, DbError>> + Send + 'static,
{
    Batcher::start(LIMITS, move |wanted: Vec<(TenantId, JobId)>| {
        let wanted: Arc<[(TenantId, JobId)]> = wanted.into();
        let answer = read(Arc::clone(&wanted));
        async move {
            match answer.await {
                Ok(jobs) => jobs,
                Err(error) => {
                    let error = Arc::new(error);
                    wanted.iter().map(|_| Err(Arc::clone(&error))).collect()
                }
            }
        }
    })
}
