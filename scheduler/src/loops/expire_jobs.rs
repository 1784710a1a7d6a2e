//! Fails jobs that nobody could start in time.
//!
//! Two at once skip each other's rows. A job that a worker claims in the same moment has begun.

use unity_shared::{ids::JobId, jobs::expire_jobs};

use super::{Context, LoopError};

const PAGE: i64 = 1000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    loop {
        let mut tx = context.database.engine().statement().await?;
        let expired = expire_jobs(&mut tx, PAGE, context.clock.now()).await?;
        drop(tx);
        let ids: Vec<JobId> = expired.iter().map(|(_, id)| *id).collect();
        context.gate.forget(&ids).await?;
        context.gate.tell(&expired).await?;
        if i64::try_from(expired.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}
