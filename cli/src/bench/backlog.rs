//! A backlog, written straight into the rows: over HTTP a million jobs would take longer than what
//! is measured. Every row is a copy of one that the API wrote, so it has what the API writes.

use anyhow::{Result, ensure};
use sqlx::PgConnection;
use unity_shared::jobs::{JobKind as _, kinds::Probe};

/// How much is to wait.
pub(super) struct Backlog {
    /// Jobs in all, the one that the API wrote included.
    pub(super) jobs: usize,
    /// Tenants that they are dealt out to, at most as many as there are jobs.
    pub(super) tenants: usize,
}

/// Makes a backlog of the only tenant and its only probe.
pub(super) async fn write(owner: &mut PgConnection, backlog: &Backlog) -> Result<()> {
    let (jobs, tenants) = (
        i32::try_from(backlog.jobs)?,
        i32::try_from(backlog.tenants)?,
    );
    copy_tenant(owner, tenants - 1).await?;
    copy_event_counter(owner, tenants - 1).await?;
    let copied = copy_job(owner, jobs - 1, tenants).await?;
    ensure!(
        copied == u64::try_from(jobs - 1)?,
        "{copied} jobs were written instead of {}",
        jobs - 1
    );
    // What autovacuum would do within a minute: plans for such a backlog need to know of it.
    sqlx::query("ANALYZE").execute(owner).await?;
    Ok(())
}

async fn copy_tenant(owner: &mut PgConnection, copies: i32) -> Result<()> {
    sqlx::query!(
        "INSERT INTO tenants
         SELECT copy.* FROM tenants AS template, generate_series(1, $1::integer) AS n,
              jsonb_populate_record(template, jsonb_build_object(
                  'id', 'grown-' || n, 'uid', gen_random_uuid())) AS copy
         WHERE template.id <> 'platform'",
        copies
    )
    .execute(owner)
    .await?;
    Ok(())
}

async fn copy_event_counter(owner: &mut PgConnection, copies: i32) -> Result<()> {
    sqlx::query!(
        "INSERT INTO event_counters
         SELECT copy.* FROM event_counters AS template, generate_series(1, $1::integer) AS n,
              jsonb_populate_record(template, jsonb_build_object(
                  'tenant_id', 'grown-' || n, 'last_sequence', 0)) AS copy
         WHERE template.tenant_id <> 'platform'",
        copies
    )
    .execute(owner)
    .await?;
    Ok(())
}

/// The ids rise with time, as those of the API do: 48 bits of milliseconds, the version, 12 bits that
/// count on, the rest random.
async fn copy_job(owner: &mut PgConnection, copies: i32, tenants: i32) -> Result<u64> {
    let written = sqlx::query!(
        "INSERT INTO jobs
         SELECT copy.* FROM jobs AS template, generate_series(1, $2::integer) AS n,
              jsonb_populate_record(template, jsonb_build_object(
                  'tenant_id', CASE WHEN n % $3::integer = 0 THEN template.tenant_id
                                    ELSE 'grown-' || n % $3::integer END,
                  'id', lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint + n / 4096), 12, '0')
                        || '7' || lpad(to_hex(n % 4096), 3, '0')
                        || '8' || substr(md5(random()::text), 1, 15))) AS copy
         WHERE template.kind = $1",
        Probe::NAME,
        copies,
        tenants,
    )
    .execute(owner)
    .await?;
    Ok(written.rows_affected())
}
