//! Makes fetched ids this worker's: first in the gate, then in the record.

use std::{collections::HashMap, sync::Arc, time::Duration};

use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    ids::{JobId, WorkerId},
    jobs::{Claim, ClaimedJob, claim_jobs},
    queue::{Claims, Gate},
    telemetry::chain,
};

use super::batch::Batcher;

/// What claiming needs.
#[derive(Debug, Clone)]
pub(super) struct Claimer {
    pub database: Database,
    pub gate: Gate,
    pub clock: Clock,
    pub worker: WorkerId,
    pub queue: Arc<str>,
    pub kinds: Arc<[&'static str]>,
    pub lease: Duration,
}

const MOST: usize = 500;
/// How long to wait after the database or Redis did not answer. Places stay taken meanwhile, so the
/// worker fetches no more than it has.
const PAUSE: Duration = Duration::from_millis(500);

impl Claimer {
    /// The queue in front of it.
    pub(super) fn start(self) -> Batcher<JobId, Option<ClaimedJob>> {
        Batcher::start(MOST, move |ids: Vec<JobId>| {
            let claimer = self.clone();
            async move { claimer.claim(ids).await }
        })
    }

    async fn claim(&self, ids: Vec<JobId>) -> Vec<Option<ClaimedJob>> {
        let claims = match self.gate.claim(self.worker, &self.queue, &ids).await {
            Ok(claims) => claims,
            Err(error) => {
                // The slots end by themselves and the sweeper offers the jobs again.
                tracing::warn!(
                    error = chain(&error),
                    jobs = ids.len(),
                    "could not claim in the gate"
                );
                tokio::time::sleep(PAUSE).await;
                return none(&ids);
            }
        };
        if claims.refused > 0 {
            tracing::debug!(refused = claims.refused, "stale ids dropped");
        }
        let claimed = match self.claim_rows(&claims).await {
            Ok(claimed) => claimed,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    jobs = ids.len(),
                    "could not claim in the record"
                );
                tokio::time::sleep(PAUSE).await;
                return none(&ids);
            }
        };
        metrics::counter!("unity_jobs_claimed_total").increment(claimed.len() as u64);
        let mut claimed: HashMap<JobId, ClaimedJob> =
            claimed.into_iter().map(|job| (job.id, job)).collect();
        ids.iter().map(|id| claimed.remove(id)).collect()
    }

    async fn claim_rows(&self, claims: &Claims) -> Result<Vec<ClaimedJob>, DbError> {
        let Some(epoch) = claims.epoch.filter(|_| !claims.admitted.is_empty()) else {
            return Ok(Vec::new());
        };
        let now = self.clock.now();
        let claim = Claim {
            worker: self.worker,
            shard: self.gate.shard(),
            epoch,
            kinds: &self.kinds,
            jobs: &claims.admitted,
            lease_expires_at: now + self.lease,
        };
        let mut tx = self.database.engine().statement().await?;
        claim_jobs(&mut tx, &claim, now).await
    }
}

fn none(ids: &[JobId]) -> Vec<Option<ClaimedJob>> {
    ids.iter().map(|_| None).collect()
}
