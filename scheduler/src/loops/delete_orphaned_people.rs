//! Deletes accounts that have belonged to nothing for a month: nobody could log in to anything with them,
//! and an address should not be kept for no purpose. What is left for the next tick loses nothing by it.

use unity_shared::people::{delete_orphans, mark_orphans};

use super::{Context, LoopError};

/// Accounts of one tick.
const MOST: i64 = 1000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let now = context.clock.now();
    let mut tx = context.database.purger().begin().await?;
    let marked = mark_orphans(&mut tx, now).await?;
    let deleted = delete_orphans(&mut tx, MOST, now).await?;
    tx.commit().await?;
    if deleted > 0 {
        tracing::info!(deleted, "accounts that belonged to nothing were deleted");
    }
    tracing::debug!(marked, "accounts that belong to nothing");
    Ok(())
}
