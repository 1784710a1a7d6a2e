//! Brings every tenant's limits to the gate, for those who died before they could.

use unity_shared::queue::announce_limits;

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    Ok(announce_limits(&context.database, &context.gate).await?)
}
