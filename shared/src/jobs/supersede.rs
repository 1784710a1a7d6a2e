//! Newer jobs that take the place of older ones: for kinds whose work brings something to its newest
//! state.
//!
//! Of the jobs of a tenant with the same kind and resource key that have not begun, those older than
//! the newest queued one end. Writers take turns by a lock on the key, or two at once would not see
//! each other's rows and both would stay.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::kinds::find_kind;
use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::{JobId, TenantId},
    queue::Offer,
};

/// What the jobs have in common of which one takes the place of the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bond<'a> {
    pub tenant: &'a TenantId,
    pub kind: &'a str,
    pub resource_key: &'a str,
}

impl<'a> Bond<'a> {
    fn of_due(offer: &'a Offer) -> Option<Self> {
        let supersedes = find_kind(&offer.kind).is_some_and(|kind| kind.supersedes);
        Some(Self {
            tenant: &offer.tenant_id,
            kind: &offer.kind,
            resource_key: offer.resource_key.as_deref().filter(|_| supersedes)?,
        })
    }
}

/// Whether a job that is due now takes the place of older ones.
#[must_use]
pub fn takes_a_place(offer: &Offer) -> bool {
    Bond::of_due(offer).is_some()
}

/// Ends the jobs whose place those that have just become due take, and answers them: the gate should
/// forget them, and one that became due itself is not to be offered.
pub async fn supersede_by_due(
    tx: &mut PlatformTx<Engine>,
    due: &[Offer],
    now: DateTime<Utc>,
) -> Result<Vec<(TenantId, JobId)>, DbError> {
    let bonds: Vec<Bond<'_>> = due.iter().filter_map(Bond::of_due).collect();
    lock_bonds(tx.connection(), &bonds).await?;
    supersede_older(tx.connection(), &bonds, now).await
}

/// Keeps others from writing jobs of these bonds until the end of the transaction.
pub(super) async fn lock_bonds(
    connection: &mut PgConnection,
    bonds: &[Bond<'_>],
) -> Result<(), DbError> {
    let tenants: Vec<String> = bonds.iter().map(|bond| bond.tenant.to_string()).collect();
    let names: Vec<String> = bonds
        .iter()
        .map(|bond| format!("{}\t{}", bond.kind, bond.resource_key))
        .collect();
    sqlx::query!(
        r#"SELECT take_locks($1, $2, 2)::text AS held"#,
        &tenants,
        &names,
    )
    .fetch_all(connection)
    .await?;
    Ok(())
}

/// Ends the jobs of these bonds that are older than the newest queued one and have not begun.
pub(super) async fn supersede_older(
    connection: &mut PgConnection,
    bonds: &[Bond<'_>],
    now: DateTime<Utc>,
) -> Result<Vec<(TenantId, JobId)>, DbError> {
    let tenants: Vec<String> = bonds.iter().map(|bond| bond.tenant.to_string()).collect();
    let kinds: Vec<String> = bonds.iter().map(|bond| bond.kind.to_owned()).collect();
    let keys: Vec<String> = bonds
        .iter()
        .map(|bond| bond.resource_key.to_owned())
        .collect();
    let superseded = sqlx::query!(
        r#"WITH newest AS (
               SELECT DISTINCT ON (job.tenant_id, job.kind, job.resource_key)
                      job.tenant_id, job.kind, job.resource_key, job.id
               FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[])) AS bond (tenant_id, kind, resource_key)
               JOIN jobs AS job ON job.tenant_id = bond.tenant_id AND job.resource_key = bond.resource_key
                               AND job.kind = bond.kind
               WHERE job.resource_key IS NOT NULL AND job.finished_at IS NULL AND job.status = 'queued'
               ORDER BY job.tenant_id, job.kind, job.resource_key, job.id DESC
           ), older AS (
               SELECT job.tenant_id, job.id
               FROM newest JOIN jobs AS job ON job.tenant_id = newest.tenant_id AND job.kind = newest.kind
                                           AND job.resource_key = newest.resource_key AND job.id < newest.id
               WHERE job.finished_at IS NULL AND job.status IN ('scheduled', 'queued', 'retrying')
               ORDER BY job.tenant_id, job.id
               FOR UPDATE OF job
           ), gone AS (
               UPDATE jobs AS job
               SET status = 'superseded', finished_at = $4
               FROM older
               WHERE job.tenant_id = older.tenant_id AND job.id = older.id
               RETURNING job.tenant_id, job.id, job.kind, job.attempt
           ), told AS (
               SELECT tell(array_agg(tenant_id), array_agg(id), array_agg('job.superseded'::text),
                           array_agg(jsonb_build_object('kind', kind, 'status', 'superseded', 'attempt', attempt,
                                                        'error', NULL)), $4)
               FROM gone
           )
           SELECT tenant_id AS "tenant_id!: TenantId", id AS "id!: JobId" FROM gone CROSS JOIN told"#,
        &tenants,
        &kinds,
        &keys,
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(superseded
        .into_iter()
        .map(|row| (row.tenant_id, row.id))
        .collect())
}
