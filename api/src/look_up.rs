//! Reads the jobs of requests that arrive together in one round trip.
//!
//! A poll for a job's status costs the database little, but each one apart costs several round trips.
//! While one is under way the next collects. Each job is read in its tenant's name.

use std::{num::NonZeroUsize, sync::Arc};

use unity_shared::{
    batch::{BatchLimits, Batcher},
    db::{Database, DbError},
    ids::{JobId, TenantId},
    jobs::{Job, find_jobs},
};

/// The queue in front of the statement. The answer is `None` where the tenant has no such job.
pub type JobReads = Batcher<(TenantId, JobId), Result<Option<Job>, Arc<DbError>>>;

/// While one answer is read the next statement runs.
const LIMITS: BatchLimits = BatchLimits {
    items: 200,
    calls: NonZeroUsize::MIN.saturating_add(1),
};

/// Starts the queue.
pub fn start_job_reads(database: Database) -> JobReads {
    Batcher::start(LIMITS, move |wanted: Vec<(TenantId, JobId)>| {
        let database = database.clone();
        async move {
            match read(&database, &wanted).await {
                Ok(jobs) => jobs.into_iter().map(Ok).collect(),
                Err(error) => {
                    let error = Arc::new(error);
                    wanted.iter().map(|_| Err(Arc::clone(&error))).collect()
                }
            }
        }
    })
}

async fn read(
    database: &Database,
    wanted: &[(TenantId, JobId)],
) -> Result<Vec<Option<Job>>, DbError> {
    let mut tx = database.each_tenant().await?;
    find_jobs(&mut tx, wanted).await
}
