//! The sweeper: gives queued rows their place in the gate.
//!
//! A row is forgotten when a process dies between its commit and its offer, or when Redis loses part
//! of its data: what it knows of the job, its line, or its tenant's turn. A row that has its place is
//! left alone, so this may run anywhere and any time. A tick goes on for so long at most and the next
//! one from there, so that a long line of waiting jobs costs no more than a short one.

use std::{collections::HashSet, time::Duration};

use chrono::TimeDelta;
use tokio::time::Instant;
use unity_shared::{ids::JobId, jobs::select_queued_page};

use super::{Context, LoopError};

const PAGE: i64 = 500;
/// How long a tick goes on. It comes each second, so this is the share of the machine that looking for
/// what is forgotten may take from the work itself.
const BUDGET: Duration = Duration::from_millis(25);
/// A job that has not been due for longer may be on its way from its commit to its offer; it is offered
/// all the same, and is no drift.
pub(super) const UNDER_WAY: TimeDelta = TimeDelta::seconds(2);

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let started = Instant::now();
    loop {
        let after = context.cursors.queued();
        let mut tx = context.database.engine().statement().await?;
        let page = select_queued_page(&mut tx, context.gate.shard(), after.as_ref(), PAGE).await?;
        drop(tx);
        let whole = i64::try_from(page.len()).unwrap_or(i64::MAX) >= PAGE;
        let last = page.last().map(|offer| (offer.tenant_id.clone(), offer.id));
        let restored: HashSet<JobId> = context.gate.restore(&page).await?.into_iter().collect();
        let since = context.clock.now() - UNDER_WAY;
        let drift = page
            .iter()
            .filter(|offer| restored.contains(&offer.id) && offer.run_at < since)
            .count();
        if drift > 0 {
            metrics::counter!("unity_gate_drift_total", "found" => "unknown")
                .increment(drift as u64);
            tracing::info!(jobs = drift, "forgotten jobs offered");
        }
        context.cursors.set_queued(last.filter(|_| whole));
        if !whole || started.elapsed() > BUDGET {
            return Ok(());
        }
    }
}
