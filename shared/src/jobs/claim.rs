//! A worker takes jobs: the one statement by which a job begins to run.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, RequestId, TenantId, WorkerId},
    jobs::{JobStatus, job::by_key},
    queue::{Offer, ShardId},
};

/// A batch of claims.
#[derive(Debug)]
pub struct Claim<'a> {
    /// Who claims.
    pub worker: WorkerId,
    /// The shard that admitted the jobs, and under which epoch.
    pub shard: ShardId,
    /// A claim that names an epoch from before a refill gets nothing.
    pub epoch: i64,
    /// Kinds that this worker can run; a job of another kind stays queued.
    pub kinds: &'a [&'static str],
    /// The admitted jobs.
    pub jobs: &'a [(TenantId, JobId)],
    /// When the leases end unless renewed.
    pub lease_expires_at: DateTime<Utc>,
}

/// A job that the claiming worker now holds.
#[derive(Debug, Clone)]
pub struct ClaimedJob {
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// Its queue.
    pub queue: String,
    /// Its priority.
    pub priority: i16,
    /// What the handler is asked to do, as JSON. It is read where it is needed, so that one that cannot be
    /// read fails its own job and not the batch in which it was claimed.
    pub payload: String,
    /// The number of this attempt, 1 for the first.
    pub attempt: i32,
    /// Most attempts.
    pub max_attempts: i32,
    /// What every write-back of this attempt must name.
    pub fence: i64,
    /// Longest time of this attempt, in seconds.
    pub timeout_seconds: i32,
    /// Its resource key.
    pub resource_key: Option<String>,
    /// When it was due.
    pub run_at: DateTime<Utc>,
    /// When this attempt began: the instant of its claim.
    pub attempt_started_at: DateTime<Utc>,
    /// The request that asked for it.
    pub request_id: Option<RequestId>,
}

impl ClaimedJob {
    /// The job as the gate knows it, for heartbeats and hand-backs.
    #[must_use]
    pub fn offer(&self) -> Offer {
        Offer {
            tenant_id: self.tenant_id.clone(),
            id: self.id,
            queue: self.queue.clone(),
            kind: self.kind.clone(),
            priority: self.priority,
            run_at: self.run_at,
            resource_key: self.resource_key.clone(),
        }
    }
}

/// Claims what still is queued among `claim.jobs`: `running`, one attempt and one fence more, a
/// lease. What is not answered was not claimed. A tenant that was taken out of use since the gate
/// admitted its job keeps the job queued.
///
/// The share lock on the epoch's row makes a refill wait for this statement, and this statement
/// fail after the refill: see [`crate::queue::refill`].
///
/// A row that cannot be written, or that somebody holds for too long, fails the statement: then claim one
/// at a time.
pub async fn claim_jobs(
    tx: &mut PlatformTx<Engine>,
    claim: &Claim<'_>,
    now: DateTime<Utc>,
) -> Result<Vec<ClaimedJob>, DbError> {
    // In the order in which every statement locks rows.
    let mut jobs: Vec<&(TenantId, JobId)> = claim.jobs.iter().collect();
    jobs.sort_unstable();
    let tenants: Vec<&str> = jobs.iter().map(|(tenant, _)| tenant.as_str()).collect();
    let ids: Vec<uuid::Uuid> = jobs.iter().map(|(_, id)| id.as_uuid()).collect();
    let rows = sqlx::query_as!(
        ClaimedJob,
        r#"WITH admitted AS (
               SELECT epoch FROM gate_epochs WHERE shard = $1 AND epoch = $2 FOR SHARE
           ), held AS (
               SELECT id FROM tenants WHERE id = ANY($6::text[]) AND status <> 'active'
           )
           UPDATE jobs AS job
           SET status = 'running', attempt = job.attempt + 1, fence = job.fence + 1,
               worker_id = $3, lease_expires_at = $4, attempt_started_at = $5,
               started_at = coalesce(job.started_at, $5), progress = NULL
           FROM unnest($6::text[], $7::uuid[]) AS wanted (tenant_id, id), admitted
           WHERE job.tenant_id = wanted.tenant_id AND job.id = wanted.id
             AND job.status = $9 AND job.kind = ANY($8::text[])
             AND job.tenant_id <> ALL (ARRAY(SELECT id FROM held))
             AND (job.expires_at IS NULL OR job.expires_at > $5 OR job.started_at IS NOT NULL)
           RETURNING job.tenant_id AS "tenant_id!: TenantId", job.id AS "id!: JobId", job.kind AS "kind!",
                     job.queue AS "queue!", job.priority AS "priority!", job.payload::text AS "payload!",
                     job.attempt AS "attempt!", job.max_attempts AS "max_attempts!", job.fence AS "fence!",
                     job.timeout_seconds AS "timeout_seconds!", job.resource_key, job.run_at AS "run_at!",
                     job.attempt_started_at AS "attempt_started_at!",
                     job.request_id AS "request_id: RequestId""#,
        claim.shard.0,
        claim.epoch,
        claim.worker.as_uuid(),
        claim.lease_expires_at,
        now,
        &tenants as &[&str],
        &ids,
        claim.kinds as &[&str],
        by_key(JobStatus::Queued),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}
