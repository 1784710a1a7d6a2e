//! Forgets sessions and used sign-ins past their end, and counters of attempts to log in. Nothing asks for such rows, so
//! it does not matter when, or how often, this runs.

use unity_shared::sessions::{Expired, expire_sessions};

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let Expired {
        sessions,
        attempts,
        sign_ins,
    } = expire_sessions(&mut tx, context.clock.now()).await?;
    tracing::debug!(sessions, attempts, sign_ins, "ended sessions forgotten");
    Ok(())
}
