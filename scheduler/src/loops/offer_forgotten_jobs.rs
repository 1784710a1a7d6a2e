//! The sweeper: offers queued rows that the gate does not know.
//!
//! A row is forgotten when a process dies between its commit and its offer, when Redis loses data, or
//! when a slot lapsed before a worker took it. Offering a known job changes nothing, so this may run
//! anywhere and any time.

use unity_shared::{ids::JobId, jobs::select_queued_page};

use super::{Context, LoopError};

const PAGE: i64 = 1000;

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let mut after = None;
    loop {
        let mut tx = context.database.engine().statement().await?;
        let page = select_queued_page(&mut tx, context.gate.shard(), after, PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.id);
        let ids: Vec<JobId> = page.iter().map(|offer| offer.id).collect();
        let unknown = context.gate.unknown(&ids).await?;
        let forgotten: Vec<_> = page
            .into_iter()
            .filter(|offer| unknown.contains(&offer.id))
            .collect();
        let offered = context.gate.offer(&forgotten).await?;
        if offered > 0 {
            metrics::counter!("unity_jobs_offered_again_total").increment(offered as u64);
            tracing::info!(jobs = offered, "forgotten jobs offered");
        }
        if i64::try_from(ids.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}
