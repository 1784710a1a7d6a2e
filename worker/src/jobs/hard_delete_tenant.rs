//! `hard_delete_tenant`: takes away all that is left of a tenant whose grace period is over.
//!
//! | step | what | when it died there, the next run |
//! |---|---|---|
//! | 1 | the tenant goes to `purging`: there is no way back | finds it there |
//! | 2 | its waiting jobs end, the running ones are told to; snoozes until none runs | ends what is left |
//! | 3 | its namespace is deleted; snoozes until it is gone | finds it terminating, or gone |
//! | 4 | its rows go, in batches, people who belong nowhere else with them | deletes the rest |
//! | 5 | the gate forgets it | has nothing to forget |
//! | 6 | the tombstone: `purged` | finds it there, and does 5 again |
//!
//! Nothing is remembered between runs, so it may be ended anywhere and run again, also by two at once.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};
use unity_kubernetes::{ClusterClient, ProvisionError, Removal, remove};
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    clock::Clock,
    db::{Database, DbError, PlatformTx, Purger},
    ids::{TenantId, TenantUid},
    jobs::kinds::HardDeleteTenant,
    queue::{Gate, GateError},
    telemetry::chain,
    tenancy::{
        PURGED_TABLES, TenantStatus, bury_tenant, end_waiting_jobs, find_purgeable, purge_people,
        purge_rows, start_purge, stop_running_jobs,
    },
};

use super::provision_namespace::job_error;
use crate::{
    handler::{self, JobContext, JobError},
    runtime::WorkerServices,
};

pub(super) struct Handler {
    database: Database,
    gate: Gate,
    cluster: ClusterClient,
    clock: Clock,
}

/// Rows of one statement: few enough to lock nobody out for long.
const BATCH: i32 = 1000;
/// How long to wait for jobs that were told to end.
const UNTIL_JOBS_END: Duration = Duration::from_secs(5);
/// How long to wait for a namespace that is being deleted.
const UNTIL_NAMESPACE_IS_GONE: Duration = Duration::from_secs(3);

impl Handler {
    pub(super) fn new(services: &WorkerServices) -> Self {
        Self {
            database: services.database.clone(),
            gate: services.gate.clone(),
            cluster: services.cluster.clone(),
            clock: services.clock.clone(),
        }
    }

    async fn statement(&self) -> Result<PlatformTx<Purger>, JobError> {
        self.database
            .purger()
            .statement()
            .await
            .map_err(|error| unavailable(&error))
    }

    /// Step 1. Answers the tenant's identity; absent = it was purged before.
    async fn begin(&self, tenant: &TenantId) -> Result<Option<TenantUid>, JobError> {
        let mut tx = self.statement().await?;
        let found = find_purgeable(&mut tx, tenant)
            .await
            .map_err(|error| unavailable(&error))?
            .ok_or_else(|| JobError::Fail {
                code: "tenant.unknown".to_owned(),
                message: format!("there is no tenant {tenant}"),
            })?;
        match found.status {
            TenantStatus::Purging => Ok(Some(found.uid)),
            TenantStatus::Purged => Ok(None),
            TenantStatus::Deleted => {
                let started = start_purge(&mut tx, tenant, self.clock.now())
                    .await
                    .map_err(|error| unavailable(&error))?;
                if started {
                    Ok(Some(found.uid))
                } else {
                    Err(not_due(tenant, "its grace period is not over"))
                }
            }
            TenantStatus::Active | TenantStatus::Suspended => {
                Err(not_due(tenant, "it is not deleted"))
            }
        }
    }

    /// Step 2.
    async fn end_jobs(&self, tenant: &TenantId) -> Result<(), JobError> {
        loop {
            let mut tx = self.statement().await?;
            let ended = end_waiting_jobs(&mut tx, tenant, BATCH.into(), self.clock.now())
                .await
                .map_err(|error| unavailable(&error))?;
            drop(tx);
            if ended.is_empty() {
                break;
            }
            self.gate
                .forget(&ended)
                .await
                .map_err(|error| gate_away(&error))?;
        }
        let mut tx = self.statement().await?;
        let running = stop_running_jobs(&mut tx, tenant, self.clock.now())
            .await
            .map_err(|error| unavailable(&error))?;
        drop(tx);
        if running.is_empty() {
            return Ok(());
        }
        self.gate
            .cancel(&running)
            .await
            .map_err(|error| gate_away(&error))?;
        Err(JobError::Snooze(UNTIL_JOBS_END))
    }

    /// Step 3. Answers whether there is a namespace of that name which is not the tenant's.
    async fn remove_namespace(
        &self,
        context: &JobContext,
        tenant: &TenantId,
        uid: TenantUid,
    ) -> Result<bool, JobError> {
        match remove(&self.cluster, tenant, uid).await {
            Ok(Removal::Absent) | Err(ProvisionError::NamespaceVanished { .. }) => Ok(false),
            Ok(Removal::Foreign) => Ok(true),
            Ok(Removal::Terminating { held_by }) => {
                let message = format!("namespace is being deleted; {}", held_by.join("; "));
                context.progress.report(NAMESPACE_PERCENT, &message).await;
                Err(JobError::Snooze(UNTIL_NAMESPACE_IS_GONE))
            }
            Err(error) => Err(job_error(&error)),
        }
    }

    /// Step 4. Answers how many rows of each table this run took away.
    async fn purge_tables(
        &self,
        tenant: &TenantId,
    ) -> Result<BTreeMap<&'static str, i64>, JobError> {
        let mut counts = BTreeMap::new();
        // Until a whole pass finds nothing: what was being written while the tables were passed is
        // found by the next.
        loop {
            let mut found = 0;
            for table in PURGED_TABLES {
                let gone = self.purge_table(table, tenant).await?;
                *counts.entry(*table).or_default() += gone;
                found += gone;
            }
            if found == 0 {
                return Ok(counts);
            }
        }
    }

    async fn purge_table(&self, table: &'static str, tenant: &TenantId) -> Result<i64, JobError> {
        let mut all = 0;
        loop {
            let mut tx = self.statement().await?;
            let gone = if table == "memberships" {
                purge_people(&mut tx, tenant, BATCH.into()).await
            } else {
                purge_rows(&mut tx, table, tenant, BATCH).await
            };
            match gone.map_err(|error| unavailable(&error))? {
                0 => return Ok(all),
                gone => all += gone,
            }
        }
    }

    /// Step 5.
    async fn forget(&self, tenant: &TenantId) -> Result<(), JobError> {
        let forgotten = self.gate.forget_tenant(tenant).await;
        if forgotten.map_err(|error| gate_away(&error))? {
            Ok(())
        } else {
            Err(JobError::Snooze(UNTIL_JOBS_END))
        }
    }

    /// Step 6.
    async fn bury(&self, tenant: &TenantId) -> Result<(), JobError> {
        let buried = self.try_to_bury(tenant).await;
        if !buried.map_err(|error| unavailable(&error))? {
            tracing::info!(%tenant, "another run has buried the tenant");
        }
        Ok(())
    }

    /// The tombstone and its entry in the audit log, which nobody takes away, are one commit.
    async fn try_to_bury(&self, tenant: &TenantId) -> Result<bool, DbError> {
        let now = self.clock.now();
        let mut tx = self.database.purger().begin().await?;
        let buried = bury_tenant(&mut tx, tenant, now).await?;
        if buried {
            let deed = Deed::done(
                Action::TENANT_PURGE,
                AuditedObject::one("tenant", tenant),
                json!({}),
            );
            let author = Author::system("worker");
            record_for_platform(&mut tx, &author, Some(tenant), &deed, now).await?;
        }
        tx.commit().await?;
        Ok(buried)
    }
}

const JOBS_PERCENT: u8 = 10;
const NAMESPACE_PERCENT: u8 = 30;
const ROWS_PERCENT: u8 = 50;
const GATE_PERCENT: u8 = 90;

impl handler::Handler for Handler {
    type Kind = HardDeleteTenant;

    async fn run(
        &self,
        context: JobContext,
        HardDeleteTenant { tenant_id: tenant }: HardDeleteTenant,
    ) -> Result<Value, JobError> {
        // A tenant's own row may say anything; only the platform ends tenants.
        if !context.tenant_id().is_platform() {
            return Err(not_due(&tenant, "the job is not the platform's"));
        }
        let progress = &context.progress;
        let Some(uid) = self.begin(&tenant).await? else {
            self.forget(&tenant).await?;
            return Ok(json!({ "tenant_id": tenant, "status": TenantStatus::Purged, "rows": {} }));
        };
        progress.report_soon(JOBS_PERCENT, "ending its jobs");
        self.end_jobs(&tenant).await?;
        progress.report_soon(NAMESPACE_PERCENT, "deleting its namespace");
        let foreign = self.remove_namespace(&context, &tenant, uid).await?;
        progress.report_soon(ROWS_PERCENT, "deleting its rows");
        let rows = self.purge_tables(&tenant).await?;
        progress.report_soon(GATE_PERCENT, "forgetting it in the queue");
        self.forget(&tenant).await?;
        self.bury(&tenant).await?;
        tracing::info!(%tenant, "tenant purged");
        Ok(json!({
            "tenant_id": tenant, "status": TenantStatus::Purged, "rows": rows,
            "foreign_namespace_kept": foreign,
        }))
    }
}

fn not_due(tenant: &TenantId, why: &str) -> JobError {
    JobError::Cancelled {
        message: format!("tenant {tenant} is not to be purged: {why}"),
    }
}

fn unavailable(error: &DbError) -> JobError {
    tracing::warn!(error = chain(error), "a statement of a purge failed");
    JobError::Retry {
        code: "database.unavailable".to_owned(),
        message: "the record could not do its part".to_owned(),
    }
}

fn gate_away(error: &GateError) -> JobError {
    tracing::warn!(
        error = chain(error),
        "the queue could not forget a tenant's jobs"
    );
    JobError::Retry {
        code: "queue.unavailable".to_owned(),
        message: "the queue could not do its part".to_owned(),
    }
}
