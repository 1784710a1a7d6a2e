//! Makes fetched ids this worker's: first in the gate, then in the record.

use std::{collections::HashMap, num::NonZeroUsize, sync::Arc, time::Duration};

use unity_shared::{
    batch::{BatchLimits, Batcher},
    clock::Clock,
    db::{Database, DbError},
    ids::{JobId, WorkerId},
    jobs::{Claim, ClaimedJob, claim_jobs},
    queue::{Claims, Gate, Member},
    telemetry::chain,
};

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

/// One call at a time: the next collects what is fetched meanwhile.
const LIMITS: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN,
};
/// How long to wait after the database or Redis did not answer. Places stay taken meanwhile, so the
/// worker fetches no more than it has.
const PAUSE: Duration = Duration::from_millis(500);
/// How long to leave the ready list to others when all of a batch was for other workers.
const STEP_ASIDE: Duration = Duration::from_millis(50);

impl Claimer {
    /// The queue in front of it.
    pub(super) fn start(self) -> Batcher<JobId, Option<ClaimedJob>> {
        Batcher::start(LIMITS, move |ids: Vec<JobId>| {
            let claimer = self.clone();
            async move { claimer.claim(ids).await }
        })
    }

    async fn claim(&self, ids: Vec<JobId>) -> Vec<Option<ClaimedJob>> {
        let member = Member {
            worker: self.worker,
            queue: &self.queue,
            kinds: &self.kinds,
        };
        let claims = match self.gate.claim(&member, &ids).await {
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
        if claims.passed_on == ids.len() {
            tokio::time::sleep(STEP_ASIDE).await;
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
