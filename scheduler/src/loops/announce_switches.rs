//! Brings the switches that are on to the gate: one that is over lets its jobs go again.

use unity_shared::queue::announce_switches;

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let now = context.clock.now();
    Ok(announce_switches(&context.database, &context.gate, now).await?)
}
