//! Makes fetched ids this worker's: first in the gate, then in the record.

use std::{
    collections::{HashMap, HashSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use unity_shared::{
    batch::{BatchLimits, Batcher, by_tenant},
    clock::Clock,
    db::{DbError, KeptSessions},
    ids::{JobId, TenantId, WorkerId},
    jobs::{Claim, ClaimedJob, claim_jobs},
    queue::{Claims, Gate, Member, ReadyJob},
    telemetry::chain,
};

/// What claiming needs.
#[derive(Debug, Clone)]
pub(super) struct Claimer {
    pub sessions: KeptSessions,
    pub gate: Gate,
    pub clock: Clock,
    pub worker: WorkerId,
    pub queue: Arc<str>,
    pub kinds: Arc<[&'static str]>,
    pub lease: Duration,
}

/// What became of an id that was fetched.
#[derive(Debug, Clone)]
pub(super) enum Claimed {
    /// The job is this worker's, under a lease that counts from that instant.
    Job(Box<ClaimedJob>, Instant),
    /// The gate may have counted it as this worker's, and the record did not give it: the slot is to
    /// be freed.
    SlotOnly,
    /// A stale copy, or somebody else's: the slot is not this worker's to free. The job may be
    /// running here all the same, from another copy.
    Nothing,
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
    pub(super) fn start(self) -> Batcher<ReadyJob, Claimed> {
        Batcher::start(LIMITS, move |jobs: Vec<ReadyJob>| {
            let claimer = self.clone();
            async move { claimer.claim(jobs).await }
        })
    }

    async fn claim(&self, jobs: Vec<ReadyJob>) -> Vec<Claimed> {
        let (mut asked, mut asked_at) = (self.clock.now(), Instant::now());
        let member = Member {
            worker: self.worker,
            queue: &self.queue,
            kinds: &self.kinds,
        };
        let claims = match self.gate.claim(&member, &jobs).await {
            Ok(claims) => claims,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    jobs = jobs.len(),
                    "could not claim in the gate"
                );
                tokio::time::sleep(PAUSE).await;
                return vec![Claimed::SlotOnly; jobs.len()];
            }
        };
        asked -= claims.age;
        asked_at = asked_at.checked_sub(claims.age).unwrap_or(asked_at);
        if claims.refused > 0 {
            tracing::debug!(refused = claims.refused, "stale ids dropped");
        }
        if claims.passed_on == jobs.len() {
            tokio::time::sleep(STEP_ASIDE).await;
        }
        let claimed = match self.claim_rows(&claims, &claims.admitted, asked).await {
            Ok(claimed) => claimed,
            Err(error) if error.may_be_one_rows() => self.claim_apart(&claims, asked).await,
            Err(error) => {
                tracing::warn!(
                    error = chain(&error),
                    jobs = jobs.len(),
                    "could not claim in the record"
                );
                tokio::time::sleep(PAUSE).await;
                // It may have been done all the same: then the row is ours until its lease ends, and the slot
                // must last as long. It ends by itself, and the sweeper offers what still waits.
                return vec![Claimed::Nothing; jobs.len()];
            }
        };
        metrics::counter!("unity_jobs_claimed_total").increment(claimed.len() as u64);
        let mut claimed: HashMap<JobId, ClaimedJob> =
            claimed.into_iter().map(|job| (job.id, job)).collect();
        let mut slots: HashSet<JobId> = claims.admitted.iter().map(|(_, id)| *id).collect();
        // Of two copies of one id in a batch, the first has what there is.
        let became = jobs
            .iter()
            .map(|ReadyJob { id, .. }| match claimed.remove(id) {
                Some(job) => {
                    slots.remove(id);
                    Claimed::Job(Box::new(job), asked_at)
                }
                None if slots.remove(id) => Claimed::SlotOnly,
                None => Claimed::Nothing,
            });
        became.collect()
    }

    /// The same tenant by tenant, all at once, after the statement for all of them was refused: what is
    /// wrong with one's rows, or who holds them, is not the others' concern.
    async fn claim_apart(&self, claims: &Claims, asked: DateTime<Utc>) -> Vec<ClaimedJob> {
        let tenants = by_tenant(claims.admitted.iter().cloned(), |(tenant, _)| tenant);
        let each = tenants
            .values()
            .map(|own| self.claim_tenants(claims, own, asked));
        let claimed = futures::future::join_all(each).await;
        claimed.into_iter().flatten().collect()
    }

    /// A row that cannot be claimed stays as it is.
    async fn claim_tenants(
        &self,
        claims: &Claims,
        jobs: &[(TenantId, JobId)],
        asked: DateTime<Utc>,
    ) -> Vec<ClaimedJob> {
        let refused = |jobs: &[(TenantId, JobId)], error: &DbError| {
            metrics::counter!("unity_claims_refused_total").increment(jobs.len() as u64);
            tracing::error!(error = chain(error), ?jobs, "jobs cannot be claimed");
        };
        match self.claim_rows(claims, jobs, asked).await {
            Ok(claimed) => claimed,
            Err(error) if jobs.len() == 1 || matches!(error, DbError::Locked(_)) => {
                refused(jobs, &error);
                Vec::new()
            }
            Err(_) => {
                let mut claimed = Vec::new();
                for job in jobs {
                    let job = std::slice::from_ref(job);
                    match self.claim_rows(claims, job, asked).await {
                        Ok(one) => claimed.extend(one),
                        Err(error) => refused(job, &error),
                    }
                }
                claimed
            }
        }
    }

    /// A lease is as long as its slot's at most, so it counts from when the slot was given. A process
    /// that stood still since then does not begin what it could not renew in time.
    async fn claim_rows(
        &self,
        claims: &Claims,
        jobs: &[(TenantId, JobId)],
        asked: DateTime<Utc>,
    ) -> Result<Vec<ClaimedJob>, DbError> {
        let Some(epoch) = claims.epoch.filter(|_| !jobs.is_empty()) else {
            return Ok(Vec::new());
        };
        let mut session = self.sessions.take().await?;
        let now = self.clock.now();
        if now > asked + self.lease / 5 {
            let nothing = Ok(Vec::new());
            session.give_back(&nothing);
            return nothing;
        }
        let claim = Claim {
            worker: self.worker,
            shard: self.gate.shard(),
            epoch,
            kinds: &self.kinds,
            jobs,
            lease_expires_at: asked + self.lease,
        };
        let claimed = claim_jobs(&mut session, &claim, now).await;
        session.give_back(&claimed);
        claimed
    }
}
