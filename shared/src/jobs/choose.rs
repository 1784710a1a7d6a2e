//! Finds the jobs that a request for many is about: those of a filter that can be cancelled, or
//! tried again.

use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::JobStatus;
use crate::{
    db::{DbError, TenantTx},
    ids::JobId,
};

/// Which jobs; what is absent restricts nothing.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only this status.
    pub status: Option<JobStatus>,
    /// Only this kind.
    pub kind: Option<String>,
    /// Only jobs with all of these labels, as a JSON object of texts.
    pub labels: Option<Value>,
    /// Only jobs made after this instant.
    pub created_after: Option<DateTime<Utc>>,
    /// Only jobs made before this instant.
    pub created_before: Option<DateTime<Utc>>,
    /// Only these.
    pub ids: Option<Vec<JobId>>,
    /// Most jobs to answer, oldest first.
    pub limit: i64,
}

/// A job that was found.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
}

impl Choice {
    fn ids(&self) -> Option<Vec<Uuid>> {
        let ids = self.ids.as_ref()?;
        Some(ids.iter().map(JobId::as_uuid).collect())
    }
}

/// Jobs of the transaction's tenant that have not ended and that nobody has asked to be cancelled.
pub async fn choose_to_cancel(tx: &mut TenantTx, choice: &Choice) -> Result<Vec<Chosen>, DbError> {
    let (tenant, ids) = (tx.tenant().clone(), choice.ids());
    // A branch for each status: each is read from its index, in the order of ids and no further than
    // the limit.
    let chosen = sqlx::query_as!(
        Chosen,
        r#"SELECT id AS "id!: JobId", kind AS "kind!" FROM
               ((SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'scheduled' ORDER BY id)
                UNION ALL (SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'queued' ORDER BY id)
                UNION ALL (SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'retrying' ORDER BY id)
                UNION ALL (SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'running'
                                                AND cancel_requested_at IS NULL ORDER BY id)) AS job
           WHERE ($2::text IS NULL OR status = $2)
             AND ($3::text IS NULL OR kind = $3)
             AND ($4::jsonb IS NULL OR labels @> $4)
             AND ($5::timestamptz IS NULL OR created_at > $5)
             AND ($6::timestamptz IS NULL OR created_at < $6)
             AND ($7::uuid[] IS NULL OR id = ANY($7))
           ORDER BY id
           LIMIT $8"#,
        tenant.as_str(),
        choice.status.map(JobStatus::as_str),
        choice.kind,
        choice.labels,
        choice.created_after,
        choice.created_before,
        ids.as_deref() as Option<&[Uuid]>,
        choice.limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(chosen)
}

/// Jobs of the transaction's tenant that failed, were cancelled, or wait for their next attempt.
pub async fn choose_to_revive(tx: &mut TenantTx, choice: &Choice) -> Result<Vec<Chosen>, DbError> {
    let (tenant, ids) = (tx.tenant().clone(), choice.ids());
    let chosen = sqlx::query_as!(
        Chosen,
        r#"SELECT id AS "id!: JobId", kind AS "kind!" FROM
               ((SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'retrying' ORDER BY id)
                UNION ALL (SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'failed' ORDER BY id)
                UNION ALL (SELECT * FROM jobs WHERE tenant_id = $1 AND status = 'cancelled' ORDER BY id)) AS job
           WHERE ($2::text IS NULL OR status = $2)
             AND ($3::text IS NULL OR kind = $3)
             AND ($4::jsonb IS NULL OR labels @> $4)
             AND ($5::timestamptz IS NULL OR created_at > $5)
             AND ($6::timestamptz IS NULL OR created_at < $6)
             AND ($7::uuid[] IS NULL OR id = ANY($7))
           ORDER BY id
           LIMIT $8"#,
        tenant.as_str(),
        choice.status.map(JobStatus::as_str),
        choice.kind,
        choice.labels,
        choice.created_after,
        choice.created_before,
        ids.as_deref() as Option<&[Uuid]>,
        choice.limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(chosen)
}
