//! Writes verdicts back, and does not give up while PostgreSQL is away.

use std::{collections::HashSet, num::NonZeroUsize, time::Duration};

use unity_shared::{
    batch::{BatchLimits, Batcher, by_tenant},
    clock::Clock,
    db::{DbError, KeptSessions},
    ids::{JobId, WorkerId},
    jobs::{Finish, JobFailure, Verdict, finish_jobs},
    telemetry::chain,
};

/// What finishing needs.
#[derive(Debug, Clone)]
pub(super) struct Finisher {
    pub sessions: KeptSessions,
    pub clock: Clock,
    pub worker: WorkerId,
}

/// One call at a time: the verdicts that come meanwhile go together in the next, which costs less than
/// a second statement beside it would gain.
const LIMITS: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN,
};
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// How often rows that somebody holds are tried, each time for as long as a lock is waited for.
const TRIES_OF_HELD_ROWS: u32 = 60;

impl Finisher {
    /// The queue in front of it. The answer says whether the verdict counted: if not, the lease was
    /// lost and another attempt decides.
    pub(super) fn start(self) -> Batcher<Finish, bool> {
        Batcher::start(LIMITS, move |finishes: Vec<Finish>| {
            let finisher = self.clone();
            async move { finisher.finish(finishes).await }
        })
    }

    async fn finish(&self, finishes: Vec<Finish>) -> Vec<bool> {
        let counted = match self.write(&finishes).await {
            Ok(counted) => counted,
            Err(error) => {
                tracing::debug!(
                    error = chain(&error),
                    "batch refused, writing tenant by tenant"
                );
                self.write_apart(&finishes).await
            }
        };
        finishes
            .iter()
            .map(|finish| counted.contains(&finish.lease.id))
            .collect()
    }

    /// Tenant by tenant, all at once.
    async fn write_apart(&self, finishes: &[Finish]) -> HashSet<JobId> {
        let each = by_tenant(finishes.iter().cloned(), |finish| &finish.lease.tenant_id)
            .into_values()
            .map(|own| self.write_tenants(own));
        let counted = futures::future::join_all(each).await;
        counted.into_iter().flatten().collect()
    }

    async fn write_tenants(&self, finishes: Vec<Finish>) -> HashSet<JobId> {
        match self.write(&finishes).await {
            Ok(counted) => counted,
            Err(DbError::Locked(error)) => {
                tracing::warn!(
                    error = chain(&error),
                    jobs = finishes.len(),
                    "verdicts wait, their rows are held by another transaction"
                );
                // Nobody waits for the tenant that holds its rows. If they are held until the leases
                // have ended, the jobs are rescued.
                let own = self.clone();
                tokio::spawn(async move { own.write_when_free(&finishes).await });
                HashSet::new()
            }
            Err(_) => self.write_each(&finishes).await,
        }
    }

    async fn write_when_free(&self, finishes: &[Finish]) {
        for _ in 0..TRIES_OF_HELD_ROWS {
            match self.write(finishes).await {
                Ok(_) => return,
                Err(DbError::Locked(_)) => {}
                Err(_) => {
                    self.write_each(finishes).await;
                    return;
                }
            }
        }
    }

    async fn write_each(&self, finishes: &[Finish]) -> HashSet<JobId> {
        let mut counted = HashSet::new();
        for finish in finishes {
            counted.extend(self.write_alone(finish).await);
        }
        counted
    }

    /// A verdict that the database will not take must not hold the others up, nor be lost: the job
    /// ends as failed and says so.
    async fn write_alone(&self, finish: &Finish) -> HashSet<JobId> {
        let error = match self.write(std::slice::from_ref(finish)).await {
            Ok(counted) => return counted,
            Err(error) => error,
        };
        tracing::error!(
            error = chain(&error), tenant_id = %finish.lease.tenant_id, job_id = %finish.lease.id,
            "the database refused a verdict"
        );
        let failure = JobFailure {
            code: "result.unstorable".to_owned(),
            message: "the result of the attempt could not be stored".to_owned(),
            retryable: false,
        };
        let replacement = Finish {
            lease: finish.lease.clone(),
            started_at: finish.started_at,
            verdict: Verdict::Failed(failure),
        };
        self.write(&[replacement]).await.unwrap_or_default()
    }

    /// Tries until the database answers one way or the other, or the rows are held for too long. Trying late is safe: the fence decides.
    async fn write(&self, finishes: &[Finish]) -> Result<HashSet<JobId>, DbError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.write_once(finishes).await {
                Err(error) if error.retryable() && !error.may_be_one_rows() => {
                    tracing::warn!(
                        error = chain(&error),
                        jobs = finishes.len(),
                        "could not write verdicts"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                answer => return answer,
            }
        }
    }

    async fn write_once(&self, finishes: &[Finish]) -> Result<HashSet<JobId>, DbError> {
        let mut session = self.sessions.take().await?;
        let counted = finish_jobs(&mut session, self.worker, finishes, self.clock.now()).await;
        session.give_back(&counted);
        counted
    }
}
