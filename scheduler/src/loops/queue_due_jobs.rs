//! Queues scheduled and retrying jobs whose time has come.
//!
//! Two at once skip each other's rows; a crash between commit and offer is mended by
//! [`super::offer_forgotten_jobs`]. A job of a kind that supersedes takes the place of older ones now
//! that it is due, before it is offered; if this process dies in between, the next one of its key does.

use unity_shared::{
    ids::JobId,
    jobs::{queue_due_jobs, supersede_by_due, takes_a_place},
    queue::Offer,
};

use super::{Context, LoopError};

const PAGE: i64 = 1000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    loop {
        let mut tx = context.database.engine().statement().await?;
        let due = queue_due_jobs(&mut tx, context.gate.shard(), PAGE, context.clock.now()).await?;
        drop(tx);
        let whole = i64::try_from(due.len()).unwrap_or(i64::MAX) >= PAGE;
        let offers = take_places(context, due).await?;
        context.gate.offer(&offers).await?;
        if !whole {
            return Ok(());
        }
    }
}

/// Ends the jobs whose place the due ones take, and answers those that are left.
async fn take_places(context: &Context, mut due: Vec<Offer>) -> Result<Vec<Offer>, LoopError> {
    if !due.iter().any(takes_a_place) {
        return Ok(due);
    }
    let mut tx = context.database.engine().begin().await?;
    let superseded = supersede_by_due(&mut tx, &due, context.clock.now()).await?;
    tx.commit().await?;
    let ids: Vec<JobId> = superseded.iter().map(|(_, id)| *id).collect();
    context.gate.forget(&ids).await?;
    context.gate.tell(&superseded).await?;
    due.retain(|offer| !ids.contains(&offer.id));
    Ok(due)
}
