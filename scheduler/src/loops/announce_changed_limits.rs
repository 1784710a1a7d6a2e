//! Brings the limits of tenants that have changed lately to the gate: one that was suspended is held,
//! and one that is in use again goes on, although whoever wrote it died before they could tell.
//!
//! What the gate knows already changes nothing, so a tenant is told of for a while: a commit may come
//! later than the instant that it carries, and of two processes that tell the gate of one tenant the
//! later may have read the older row.

use unity_shared::queue::announce_changed_limits;

use super::{Context, LoopError};
use crate::agenda::NEW;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let since = context.clock.now() - NEW;
    Ok(announce_changed_limits(&context.database, &context.gate, since).await?)
}
