//! The write-back at the end of an attempt: state, attempt and event in one statement.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{JobFailure, lease::LeaseKey};
use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::JobId,
};

/// What an attempt came to.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// The work is done; the handler's answer.
    Succeeded(Value),
    /// The job is over: out of attempts, or an error that no retry can mend.
    Failed(JobFailure),
    /// Another attempt follows at the given instant.
    Retry(JobFailure, DateTime<Utc>),
    /// The handler asked to run later; the attempt does not count.
    Snoozed(DateTime<Utc>),
    /// The worker stops; the attempt does not count and the job waits again.
    HandedBack,
    /// The job was cancelled while it ran.
    Cancelled(JobFailure),
}

/// A verdict and the lease under which it was reached.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Which attempt of which job.
    pub lease: LeaseKey,
    /// What it came to.
    pub verdict: Verdict,
}

/// A verdict in the columns of the statement.
struct Columns {
    status: &'static str,
    outcome: &'static str,
    result: Option<Value>,
    error: Option<Value>,
    run_at: Option<DateTime<Utc>>,
    counts: bool,
}

impl Verdict {
    fn columns(&self) -> Columns {
        let (status, outcome, counts) = match self {
            Self::Succeeded(_) => ("succeeded", "succeeded", true),
            Self::Failed(_) => ("failed", "failed", true),
            Self::Retry(..) => ("retrying", "retried", true),
            Self::Snoozed(_) => ("retrying", "snoozed", false),
            Self::HandedBack => ("queued", "handed_back", false),
            Self::Cancelled(_) => ("cancelled", "cancelled", true),
        };
        let result = match self {
            Self::Succeeded(value) => Some(value.clone()),
            Self::Failed(_)
            | Self::Retry(..)
            | Self::Snoozed(_)
            | Self::HandedBack
            | Self::Cancelled(_) => None,
        };
        let error = match self {
            Self::Failed(error) | Self::Retry(error, _) | Self::Cancelled(error) => {
                Some(serde_json::json!({
                    "code": error.code, "message": error.message, "retryable": error.retryable,
                }))
            }
            Self::Succeeded(_) | Self::Snoozed(_) | Self::HandedBack => None,
        };
        let run_at = match self {
            Self::Retry(_, at) | Self::Snoozed(at) => Some(*at),
            Self::Succeeded(_) | Self::Failed(_) | Self::HandedBack | Self::Cancelled(_) => None,
        };
        Columns {
            status,
            outcome,
            result,
            error,
            run_at,
            counts,
        }
    }
}

/// Verdicts as the arrays of the statement, one element for each.
#[derive(Default)]
struct Batch {
    tenants: Vec<String>,
    ids: Vec<uuid::Uuid>,
    fences: Vec<i64>,
    statuses: Vec<String>,
    outcomes: Vec<String>,
    results: Vec<Option<Value>>,
    errors: Vec<Option<Value>>,
    run_ats: Vec<Option<DateTime<Utc>>>,
    counts: Vec<bool>,
}

impl Batch {
    fn of(finishes: &[Finish]) -> Self {
        let mut batch = Self::default();
        for Finish { lease, verdict } in finishes {
            let Columns {
                status,
                outcome,
                result,
                error,
                run_at,
                counts,
            } = verdict.columns();
            batch.tenants.push(lease.tenant_id.to_string());
            batch.ids.push(lease.id.as_uuid());
            batch.fences.push(lease.fence);
            batch.statuses.push(status.to_owned());
            batch.outcomes.push(outcome.to_owned());
            batch.results.push(result);
            batch.errors.push(error);
            batch.run_ats.push(run_at);
            batch.counts.push(counts);
        }
        batch
    }
}

/// Writes verdicts back and answers the jobs for which it counted. A job is missing from the answer
/// when its fence has moved on: its lease ran out and somebody else has it, or it has ended.
///
/// Every verdict leaves an event `job.{status}` in the tenant's sequence. Counters are locked in the
/// order of tenants, so that two batches cannot wait for each other.
pub async fn finish_jobs(
    tx: &mut PlatformTx<Engine>,
    finishes: &[Finish],
    now: DateTime<Utc>,
) -> Result<HashSet<JobId>, DbError> {
    let batch = Batch::of(finishes);
    let counted = sqlx::query_scalar!(
        r#"WITH verdict AS (
               SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[],
                                    $6::jsonb[], $7::jsonb[], $8::timestamptz[], $9::boolean[])
                   AS v (tenant_id, id, fence, status, outcome, result, error, run_at, counts)
           ), done AS (
               UPDATE jobs AS job
               SET status = verdict.status,
                   result = verdict.result,
                   error = verdict.error,
                   run_at = coalesce(verdict.run_at, job.run_at),
                   attempt = job.attempt - CASE WHEN verdict.counts THEN 0 ELSE 1 END,
                   crashes = 0,
                   worker_id = NULL,
                   lease_expires_at = NULL,
                   finished_at = CASE WHEN verdict.status IN ('succeeded', 'failed', 'cancelled')
                                      THEN $10::timestamptz END
               FROM verdict
               WHERE job.tenant_id = verdict.tenant_id AND job.id = verdict.id
                 AND job.fence = verdict.fence AND job.status = 'running'
               RETURNING job.tenant_id, job.id, job.fence, job.kind, job.attempt,
                         verdict.status, verdict.outcome, verdict.error
           ), ended AS (
               UPDATE job_attempts AS attempt
               SET finished_at = $10, outcome = done.outcome, error = done.error
               FROM done
               WHERE attempt.tenant_id = done.tenant_id AND attempt.job_id = done.id
                 AND attempt.fence = done.fence
           ), counter AS (
               SELECT tenant_id FROM event_counters
               WHERE tenant_id IN (SELECT tenant_id FROM done)
               ORDER BY tenant_id FOR UPDATE
           ), numbered AS (
               UPDATE event_counters AS c
               SET last_sequence = c.last_sequence + batch.events
               FROM (SELECT tenant_id, count(*) AS events FROM done GROUP BY tenant_id) AS batch, counter
               WHERE c.tenant_id = batch.tenant_id AND counter.tenant_id = batch.tenant_id
               RETURNING c.tenant_id, c.last_sequence - batch.events AS base
           ), told AS (
               INSERT INTO events (tenant_id, sequence, type, job_id, data, created_at)
               SELECT done.tenant_id,
                      numbered.base + row_number() OVER (PARTITION BY done.tenant_id ORDER BY done.id),
                      'job.' || done.status, done.id,
                      jsonb_build_object('kind', done.kind, 'status', done.status,
                                         'attempt', done.attempt, 'error', done.error),
                      $10
               FROM done JOIN numbered USING (tenant_id)
           )
           SELECT id AS "id!: JobId" FROM done"#,
        &batch.tenants,
        &batch.ids,
        &batch.fences,
        &batch.statuses,
        &batch.outcomes,
        &batch.results as &[Option<Value>],
        &batch.errors as &[Option<Value>],
        &batch.run_ats as &[Option<DateTime<Utc>>],
        &batch.counts,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(counted.into_iter().collect())
}
