//! Brings every tenant's limits to the gate. Those that changed lately are brought at once by
//! `announce_changed_limits`; this is for what Redis lost since.

use unity_shared::queue::announce_limits;

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    Ok(announce_limits(&context.database, &context.gate).await?)
}
