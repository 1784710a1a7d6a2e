//! Why a job does not run, or that it does: what stands in its way, in the words of the rule that
//! admission obeys.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serialize;
use unity_shared::{
    ids::{JobId, SwitchId, WorkerId},
    jobs::{Job, JobFailure, Runner, Switch, SwitchAction},
    queue::{Obstacle, Place, Standing},
    tenancy::TenantStatus,
};

/// One reason. `code` is stable, `detail` is for people.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Reason {
    /// Its time has not come.
    NotDue {
        detail: String,
        run_at: DateTime<Utc>,
    },
    /// An attempt failed; the next one has its time.
    RetryWait {
        detail: String,
        run_at: DateTime<Utc>,
        /// The attempt that failed.
        attempt: i32,
        /// Why it failed.
        #[schema(required)]
        error: Option<JobFailure>,
    },
    /// The queue does not answer, so more cannot be said; while it is away nothing is admitted.
    GateUnreachable { detail: String },
    /// Admission is closed while the queue is filled from the record.
    GateClosed { detail: String },
    /// It is in the record and about to be offered to the queue.
    NotOfferedYet { detail: String },
    /// The tenant is suspended: its jobs are held until it is resumed.
    TenantSuspended { detail: String },
    /// The tenant is deleted: its jobs are held until it is restored, or go with it.
    TenantDeleted { detail: String },
    /// A switch pauses the tenant, the kind, or the kind of this tenant.
    Paused {
        detail: String,
        /// The switch; null if it has gone off a moment ago.
        #[schema(required)]
        switch: Option<SwitchId>,
        /// The operator's words.
        #[schema(required)]
        reason: Option<String>,
        /// When it goes off by itself.
        #[schema(required)]
        until: Option<DateTime<Utc>>,
    },
    /// The tenant runs as many jobs as it may.
    TenantLimit {
        detail: String,
        limit: u32,
        running: u32,
        /// Those that run, at most 100 of them.
        #[schema(value_type = Vec<uuid::Uuid>)]
        holders: Vec<JobId>,
    },
    /// The tenant runs as many jobs of this kind as it may.
    KindLimit {
        detail: String,
        kind: String,
        limit: u32,
        running: u32,
        /// Those that run, at most 100 of them.
        #[schema(value_type = Vec<uuid::Uuid>)]
        holders: Vec<JobId>,
    },
    /// Another job with the same resource key runs.
    ResourceKey {
        detail: String,
        key: String,
        #[schema(value_type = Option<uuid::Uuid>, required)]
        held_by: Option<JobId>,
    },
    /// No live worker takes this kind.
    NoWorker {
        detail: String,
        kind: String,
        queue: String,
    },
    /// Every worker that takes this kind is busy.
    FleetBusy {
        detail: String,
        kind: String,
        queue: String,
    },
    /// Nothing stands in its way; others come first.
    Turn { detail: String },
    /// It has its slot and is on its way to a worker.
    Admitted { detail: String },
    /// A worker has it.
    Running {
        detail: String,
        worker: WorkerId,
        since: DateTime<Utc>,
        /// The worker is taken for dead if it gives no sign of life until then.
        lease_expires_at: DateTime<Utc>,
    },
    /// It has ended.
    Ended {
        detail: String,
        #[schema(required)]
        finished_at: Option<DateTime<Utc>>,
    },
}

impl Reason {
    /// Of a job whose time has not come.
    pub fn not_due(job: &Job) -> Self {
        Self::NotDue {
            detail: format!("it does not start before {}", time(job.run_at)),
            run_at: job.run_at,
        }
    }

    /// Of a job that waits for its next attempt.
    pub fn retry_wait(job: &Job) -> Self {
        let why = job.error.as_ref().map_or("failed", |error| &error.message);
        Self::RetryWait {
            detail: format!(
                "attempt {} of {} did not succeed ({why}); the next one is due at {}",
                job.attempt,
                job.max_attempts,
                time(job.run_at)
            ),
            run_at: job.run_at,
            attempt: job.attempt,
            error: job.error.clone(),
        }
    }

    /// Of a queued job when Redis is away.
    pub fn gate_unreachable() -> Self {
        Self::GateUnreachable {
            detail:
                "the queue does not answer now, so nothing can be said of the job's place in it; \
                     while the queue is away no job is admitted"
                    .to_owned(),
        }
    }

    /// Of a job that runs.
    pub fn running(runner: Runner) -> Self {
        let Runner {
            worker_id,
            since,
            lease_expires_at,
        } = runner;
        Self::Running {
            detail: format!(
                "worker {worker_id} has been running it since {}",
                time(since)
            ),
            worker: worker_id,
            since,
            lease_expires_at,
        }
    }

    /// Of a job that has ended.
    pub fn ended(job: &Job) -> Self {
        Self::Ended {
            detail: format!("it has ended: {}", job.status.as_str()),
            finished_at: job.finished_at,
        }
    }

    /// Of a queued job whose tenant is not in use; absent if it is.
    pub fn of_tenant(status: TenantStatus) -> Option<Self> {
        match status {
            TenantStatus::Active => None,
            TenantStatus::Suspended => Some(Self::TenantSuspended {
                detail: "tenant suspended: its jobs are held until it is resumed".to_owned(),
            }),
            TenantStatus::Deleted | TenantStatus::Purging | TenantStatus::Purged => {
                Some(Self::TenantDeleted {
                    detail: "tenant deleted: its jobs are held until it is restored, or go with it"
                        .to_owned(),
                })
            }
        }
    }

    /// Of a queued job by where the gate has it. `switches` are those that concern its tenant.
    pub fn of_queued(job: &Job, standing: &Standing, switches: &[Switch]) -> Vec<Self> {
        let one = |reason| vec![reason];
        match standing.place {
            _ if !standing.open => one(Self::GateClosed {
                detail: "the queue is being filled from the record; no job is admitted meanwhile"
                    .to_owned(),
            }),
            Place::Unknown => one(Self::NotOfferedYet {
                detail: "it is in the record and will be offered to the queue within seconds"
                    .to_owned(),
            }),
            Place::Admitted => one(Self::Admitted {
                detail: "it has its slot and is on its way to a worker".to_owned(),
            }),
            Place::Claimed => one(Self::Admitted {
                detail: "a worker has taken it and is about to begin".to_owned(),
            }),
            Place::Waiting | Place::Parked if standing.obstacles.is_empty() => one(Self::Turn {
                detail:
                    "nothing stands in its way; its turn comes after the jobs and tenants ahead"
                        .to_owned(),
            }),
            Place::Waiting | Place::Parked => standing
                .obstacles
                .iter()
                .map(|obstacle| Self::of_obstacle(*obstacle, job, standing, switches))
                .collect(),
        }
    }

    fn of_obstacle(
        obstacle: Obstacle,
        job: &Job,
        standing: &Standing,
        switches: &[Switch],
    ) -> Self {
        let (kind, queue) = (job.kind.clone(), job.queue.clone());
        match obstacle {
            Obstacle::Paused => Self::paused(job, switches),
            Obstacle::TenantLimit => Self::TenantLimit {
                detail: format!(
                    "the tenant runs {} jobs and may run {} at once",
                    standing.running, standing.max_concurrent
                ),
                limit: standing.max_concurrent,
                running: standing.running,
                holders: standing.holders.clone(),
            },
            Obstacle::KindLimit => {
                let limit = standing.kind_max_concurrent.unwrap_or(0);
                let running = standing.kind_running.unwrap_or(0);
                Self::KindLimit {
                    detail: format!(
                        "the tenant runs {running} jobs of kind {kind} and may run {limit} at once"
                    ),
                    kind,
                    limit,
                    running,
                    holders: standing.kind_holders.clone(),
                }
            }
            Obstacle::ResourceKey => Self::ResourceKey {
                detail: "another job with the same resource key runs".to_owned(),
                key: job.resource_key.clone().unwrap_or_default(),
                held_by: standing.key_holder,
            },
            Obstacle::NoWorker => Self::NoWorker {
                detail: format!(
                    "no live worker takes jobs of kind {kind} from queue {queue}: none is started, or \
                     their pools are paused"
                ),
                kind,
                queue,
            },
            Obstacle::FleetBusy => Self::FleetBusy {
                detail: format!("every worker that takes jobs of kind {kind} is busy"),
                kind,
                queue,
            },
        }
    }

    fn paused(job: &Job, switches: &[Switch]) -> Self {
        let switch = switches
            .iter()
            .filter(|switch| match switch.action {
                SwitchAction::Pause => true,
                SwitchAction::Drain => false,
            })
            .find(|switch| {
                let kind = switch.scope.kind.as_deref();
                kind.is_none_or(|kind| kind == job.kind)
            });
        let detail = match switch {
            Some(switch) => format!(
                "paused until {}: {}",
                time(switch.expires_at),
                switch.reason
            ),
            None => "paused; the switch has just gone off".to_owned(),
        };
        Self::Paused {
            detail,
            switch: switch.map(|switch| switch.id),
            reason: switch.map(|switch| switch.reason.clone()),
            until: switch.map(|switch| switch.expires_at),
        }
    }
}

fn time(instant: DateTime<Utc>) -> String {
    instant.to_rfc3339_opts(SecondsFormat::Secs, true)
}
