//! The write-back at the end of an attempt: state, attempt and event in one statement.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{
    AttemptOutcome, JobFailure, JobStatus,
    job::by_key,
    lease::{LeaseKey, in_order},
};
use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, WorkerId},
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
    /// When the attempt began.
    pub started_at: DateTime<Utc>,
    /// What it came to.
    pub verdict: Verdict,
}

impl AsRef<LeaseKey> for Finish {
    fn as_ref(&self) -> &LeaseKey {
        &self.lease
    }
}

/// A verdict in the columns of the statement.
struct Columns<'a> {
    status: &'static str,
    outcome: &'static str,
    result: Option<&'a Value>,
    error: Option<Value>,
    run_at: Option<DateTime<Utc>>,
    counts: bool,
    is_final: bool,
}

impl Verdict {
    /// What it is by name.
    #[must_use]
    pub const fn outcome(&self) -> AttemptOutcome {
        match self {
            Self::Succeeded(_) => AttemptOutcome::Succeeded,
            Self::Failed(_) => AttemptOutcome::Failed,
            Self::Retry(..) => AttemptOutcome::Retried,
            Self::Snoozed(_) => AttemptOutcome::Snoozed,
            Self::HandedBack => AttemptOutcome::HandedBack,
            Self::Cancelled(_) => AttemptOutcome::Cancelled,
        }
    }

    fn columns(&self) -> Columns<'_> {
        let (status, counts) = match self {
            Self::Succeeded(_) => (JobStatus::Succeeded, true),
            Self::Failed(_) => (JobStatus::Failed, true),
            Self::Retry(..) => (JobStatus::Retrying, true),
            Self::Snoozed(_) => (JobStatus::Retrying, false),
            Self::HandedBack => (JobStatus::Queued, false),
            Self::Cancelled(_) => (JobStatus::Cancelled, true),
        };
        let result = match self {
            Self::Succeeded(value) => Some(value),
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
            status: status.as_str(),
            outcome: self.outcome().as_str(),
            result,
            error,
            run_at,
            counts,
            is_final: status.is_final(),
        }
    }
}

/// Verdicts as the arrays of the statement, one element for each, in the order in which every statement
/// locks rows.
#[derive(Default)]
struct Batch<'a> {
    tenants: Vec<&'a str>,
    ids: Vec<uuid::Uuid>,
    fences: Vec<i64>,
    statuses: Vec<&'static str>,
    outcomes: Vec<&'static str>,
    results: Vec<Option<&'a Value>>,
    errors: Vec<Option<Value>>,
    run_ats: Vec<Option<DateTime<Utc>>>,
    counts: Vec<bool>,
    finals: Vec<bool>,
    started_ats: Vec<DateTime<Utc>>,
}

impl<'a> Batch<'a> {
    fn of(finishes: &'a [Finish]) -> Self {
        let mut batch = Self::default();
        for Finish {
            lease,
            started_at,
            verdict,
        } in in_order(finishes.iter())
        {
            let Columns {
                status,
                outcome,
                result,
                error,
                run_at,
                counts,
                is_final,
            } = verdict.columns();
            batch.tenants.push(lease.tenant_id.as_str());
            batch.ids.push(lease.id.as_uuid());
            batch.fences.push(lease.fence);
            batch.statuses.push(status);
            batch.outcomes.push(outcome);
            batch.results.push(result);
            batch.errors.push(error);
            batch.run_ats.push(run_at);
            batch.counts.push(counts);
            batch.finals.push(is_final);
            batch.started_ats.push(*started_at);
        }
        batch
    }
}

/// Writes verdicts back and answers the jobs for which it counted. A job is missing from the answer
/// when its fence has moved on: its lease ran out and somebody else has it, or it has ended.
///
/// A job that somebody wants to be cancelled is not tried again, whatever the verdict. An attempt
/// that another one follows moves to `job_attempts`. Every verdict leaves an event `job.{status}`.
pub async fn finish_jobs(
    tx: &mut PlatformTx<Engine>,
    worker: WorkerId,
    finishes: &[Finish],
    now: DateTime<Utc>,
) -> Result<HashSet<JobId>, DbError> {
    let batch = Batch::of(finishes);
    let counted = sqlx::query_scalar!(
        r#"WITH verdict AS (
               SELECT * FROM unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::text[],
                                    $6::jsonb[], $7::jsonb[], $8::timestamptz[], $9::boolean[], $10::boolean[], $11::timestamptz[])
                   AS v (tenant_id, id, fence, status, outcome, result, error, run_at, counts, final, started_at)
           ), done AS (
               UPDATE jobs AS job
               SET status = CASE WHEN verdict.final OR job.cancel_requested_at IS NULL THEN verdict.status
                                 ELSE 'cancelled' END,
                   worker_id = CASE WHEN verdict.final OR job.cancel_requested_at IS NOT NULL THEN job.worker_id END,
                   attempt_started_at = CASE WHEN verdict.final OR job.cancel_requested_at IS NOT NULL
                                             THEN job.attempt_started_at END,
                   finished_at = CASE WHEN verdict.final OR job.cancel_requested_at IS NOT NULL
                                      THEN $12::timestamptz END,
                   result = verdict.result,
                   error = verdict.error,
                   run_at = coalesce(verdict.run_at, job.run_at),
                   attempt = job.attempt - CASE WHEN verdict.counts THEN 0 ELSE 1 END,
                   crashes = 0,
                   lease_expires_at = NULL
               FROM verdict
               WHERE job.tenant_id = verdict.tenant_id AND job.id = verdict.id
                 AND job.fence = verdict.fence AND job.status = $14
               RETURNING job.tenant_id, job.id, job.fence, job.kind, job.attempt, job.status, job.error,
                         verdict.outcome, verdict.counts, verdict.started_at
           ), followed AS (
               INSERT INTO job_attempts (tenant_id, job_id, fence, number, worker_id, started_at, finished_at,
                                         outcome, error)
               SELECT tenant_id, id, fence, attempt + CASE WHEN counts THEN 0 ELSE 1 END, $13, started_at, $12,
                      outcome, error
               FROM done WHERE status IN ('retrying', 'queued')
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id), array_agg('job.' || status),
                           array_agg(jsonb_build_object('kind', kind, 'status', status, 'attempt', attempt,
                                                        'error', error)), $12)
               FROM done
           )
           SELECT id AS "id!: JobId" FROM done CROSS JOIN told"#,
        &batch.tenants as &[&str],
        &batch.ids,
        &batch.fences,
        &batch.statuses as &[&str],
        &batch.outcomes as &[&str],
        &batch.results as &[Option<&Value>],
        &batch.errors as &[Option<Value>],
        &batch.run_ats as &[Option<DateTime<Utc>>],
        &batch.counts,
        &batch.finals,
        &batch.started_ats,
        now,
        worker.as_uuid(),
        by_key(JobStatus::Running),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(counted.into_iter().collect())
}
