//! The sweeper: offers queued rows that the gate does not know.
//!
//! A row is forgotten when a process dies between its commit and its offer, or when Redis loses part
//! of its data. Offering a known job changes nothing, so this may run anywhere and any time. A tick
//! looks at so many rows at most and the next goes on from there, so that a long line of waiting jobs
//! costs no more than a short one.

use unity_shared::{ids::JobId, jobs::select_queued_page};

use super::{Context, LoopError};

const PAGE: i64 = 1000;
const PAGES: usize = 5;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    for _ in 0..PAGES {
        let after = context.cursors.queued();
        let mut tx = context.database.engine().statement().await?;
        let page = select_queued_page(&mut tx, context.gate.shard(), after.as_ref(), PAGE).await?;
        drop(tx);
        let whole = i64::try_from(page.len()).unwrap_or(i64::MAX) >= PAGE;
        let last = page.last().map(|offer| (offer.tenant_id.clone(), offer.id));
        let ids: Vec<JobId> = page.iter().map(|offer| offer.id).collect();
        let unknown = context.gate.unknown(&ids).await?;
        let forgotten: Vec<_> = page
            .into_iter()
            .filter(|offer| unknown.contains(&offer.id))
            .collect();
        let offered = context.gate.offer(&forgotten).await?;
        if offered > 0 {
            metrics::counter!("unity_gate_drift_total", "found" => "unknown")
                .increment(offered as u64);
            tracing::info!(jobs = offered, "forgotten jobs offered");
        }
        context.cursors.set_queued(last.filter(|_| whole));
        if !whole {
            break;
        }
    }
    Ok(())
}
