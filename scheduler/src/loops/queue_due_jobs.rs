//! Queues scheduled and retrying jobs whose time has come.
//!
//! Two at once skip each other's rows; a crash between commit and offer is mended by
//! [`super::offer_forgotten_jobs`].

use unity_shared::jobs::queue_due_jobs;

use super::{Context, LoopError};

const PAGE: i64 = 1000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    loop {
        let mut tx = context.database.engine().statement().await?;
        let due = queue_due_jobs(&mut tx, context.gate.shard(), PAGE, context.clock.now()).await?;
        drop(tx);
        context.gate.offer(&due).await?;
        if i64::try_from(due.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}
