//! Writes verdicts back, and does not give up while PostgreSQL is away.

use std::{collections::HashSet, num::NonZeroUsize, time::Duration};

use unity_shared::{
    batch::{BatchLimits, Batcher},
    clock::Clock,
    db::{Database, DbError},
    ids::{JobId, WorkerId},
    jobs::{Finish, JobFailure, Verdict, finish_jobs},
    telemetry::chain,
};

/// What finishing needs.
#[derive(Debug, Clone)]
pub(super) struct Finisher {
    pub database: Database,
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
            Err(error) if finishes.len() > 1 => {
                tracing::debug!(error = chain(&error), "batch refused, writing one by one");
                let mut counted = HashSet::new();
                for finish in &finishes {
                    counted.extend(self.write_alone(finish).await);
                }
                counted
            }
            Err(_) => match finishes.first() {
                Some(finish) => self.write_alone(finish).await,
                None => HashSet::new(),
            },
        };
        finishes
            .iter()
            .map(|finish| counted.contains(&finish.lease.id))
            .collect()
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

    /// Tries until the database answers one way or the other. Trying late is safe: the fence decides.
    async fn write(&self, finishes: &[Finish]) -> Result<HashSet<JobId>, DbError> {
        let mut pause = FIRST_PAUSE;
        loop {
            match self.write_once(finishes).await {
                Err(error) if error.retryable() => {
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
        let mut tx = self.database.engine().statement().await?;
        finish_jobs(&mut tx, self.worker, finishes, self.clock.now()).await
    }
}
