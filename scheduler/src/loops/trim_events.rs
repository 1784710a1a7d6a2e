//! Forgets events that nobody is expected to come back for.
//!
//! Whoever was away for longer is told so by a reset and reads the present instead.

use chrono::TimeDelta;
use unity_shared::events::{Retention, trim_events};

use super::{Context, LoopError};

/// A receiver that is down over a long weekend finds everything when it is back.
const KEPT: TimeDelta = TimeDelta::days(7);
/// Of each tenant: more would make one noisy tenant's history the largest part of the database.
const MOST: i64 = 100_000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let keep = Retention {
        since: context.clock.now() - KEPT,
        most: MOST,
    };
    let mut after = None;
    loop {
        let mut tx = context.database.engine().statement().await?;
        let trimmed = trim_events(&mut tx, keep, after.as_ref()).await?;
        if trimmed.events > 0 {
            metrics::counter!("unity_events_trimmed_total")
                .increment(trimmed.events.unsigned_abs());
            continue;
        }
        match trimmed.last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}
