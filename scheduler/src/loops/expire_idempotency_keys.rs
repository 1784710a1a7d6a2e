//! Forgets idempotency keys after 24 hours.

use chrono::TimeDelta;

use super::{Context, LoopError};

const KEPT: TimeDelta = TimeDelta::hours(24);

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let forgotten = sqlx::query!(
        "DELETE FROM idempotency_keys WHERE created_at < $1",
        context.clock.now() - KEPT,
    )
    .execute(tx.connection())
    .await
    .map_err(unity_shared::db::DbError::from)?;
    tracing::debug!(
        keys = forgotten.rows_affected(),
        "idempotency keys forgotten"
    );
    Ok(())
}
