//! Fails jobs that nobody could start in time.
//!
//! Two at once skip each other's rows. A job that a worker claims in the same moment has begun.
//!
//! A row that cannot be written fails the statement of its whole page. Then each is tried alone, and
//! what fails is left out until the next tick.

use unity_shared::{
    ids::{JobId, TenantId},
    jobs::{expire_jobs, select_late_jobs},
    telemetry::chain,
};

use super::{Context, LoopError};

const PAGE: i64 = 1000;

type Expired = Vec<(TenantId, JobId)>;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let mut refused = Vec::new();
    loop {
        let expired = match expire(context, None, &refused).await {
            Ok(expired) => expired,
            Err(LoopError::Database(error)) if error.may_be_one_rows() => {
                expire_each(context, &mut refused).await?
            }
            Err(error) => return Err(error),
        };
        let ids: Vec<JobId> = expired.iter().map(|(_, id)| *id).collect();
        context.gate.forget(&ids).await?;
        context.gate.tell(&expired).await?;
        if i64::try_from(expired.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}

async fn expire(
    context: &Context,
    only: Option<JobId>,
    without: &[JobId],
) -> Result<Expired, LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let now = context.clock.now();
    Ok(expire_jobs(&mut tx, PAGE, only, without, now).await?)
}

/// One page, job by job. What is refused is added to `refused`.
async fn expire_each(context: &Context, refused: &mut Vec<JobId>) -> Result<Expired, LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let late = select_late_jobs(&mut tx, PAGE, refused, context.clock.now()).await?;
    drop(tx);
    let mut all = Vec::new();
    for id in late {
        match expire(context, Some(id), &[]).await {
            Ok(expired) => all.extend(expired),
            Err(LoopError::Database(error)) if error.may_be_one_rows() => {
                metrics::counter!("unity_expiries_refused_total").increment(1);
                tracing::error!(job_id = %id, error = chain(&error), "job cannot be expired");
                refused.push(id);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}
