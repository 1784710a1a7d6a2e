//! Brings the switches that are on to the gate: one that is over lets its jobs go again.
//!
//! Every two seconds while one is on, and for a minute afterwards. A pause that the gate has besides, which
//! it was never told by us, ends within a minute.

use unity_shared::queue::announce_switches;

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let now = context.clock.now();
    Ok(announce_switches(&context.database, &context.gate, now).await?)
}
