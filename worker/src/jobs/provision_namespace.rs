//! `provision_namespace`: brings the tenant's namespace to what its row says now.

use serde_json::Value;
use unity_kubernetes::{
    ClusterClient, ClusterUse, ProvisionError, Step, TenantNamespace, read_use,
};
use unity_shared::{
    db::{Database, DbError},
    jobs::kinds::ProvisionNamespace,
    telemetry::chain,
    tenancy::{Quota, Tenant, TenantStatus, find_tenant, record_cluster_use},
};

use crate::{
    handler::{self, JobContext, JobError},
    runtime::WorkerServices,
};

pub(super) struct Handler {
    database: Database,
    cluster: ClusterClient,
}

impl Handler {
    pub(super) fn new(services: &WorkerServices) -> Self {
        Self {
            database: services.database.clone(),
            cluster: services.cluster.clone(),
        }
    }

    async fn desired(&self, context: &JobContext) -> Result<Tenant, JobError> {
        let unavailable = |error: DbError| {
            tracing::warn!(error = chain(&error), "could not read the tenant");
            JobError::Retry {
                code: "database.unavailable".to_owned(),
                message: "the tenant's record could not be read".to_owned(),
            }
        };
        let mut tx = self
            .database
            .tenant(context.tenant_id())
            .await
            .map_err(unavailable)?;
        let tenant = find_tenant(&mut tx).await.map_err(unavailable)?;
        match tenant {
            Some(tenant) if tenant.status == TenantStatus::Active => Ok(tenant),
            Some(_) | None => Err(JobError::Cancelled {
                message: "the tenant is not active".to_owned(),
            }),
        }
    }
}

impl Handler {
    /// Keeps what the cluster counts of the tenant's use. The next run counts again, so a failure is no
    /// reason to fail the job.
    async fn record_use(&self, context: &JobContext) {
        match read_use(&self.cluster, context.tenant_id()).await {
            Ok(Some(used)) => {
                if let Err(error) = self.write_use(context, used).await {
                    tracing::warn!(error = chain(&error), "could not keep a tenant's use");
                }
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(error = chain(&error), "could not read a tenant's use"),
        }
    }

    async fn write_use(&self, context: &JobContext, used: ClusterUse) -> Result<(), DbError> {
        let mut tx = self.database.tenant(context.tenant_id()).await?;
        for (quota, used) in [
            (Quota::CpuCores, used.cpu_cores),
            (Quota::MemoryGb, used.memory_gib),
            (Quota::StorageGb, used.storage_gib),
        ] {
            record_cluster_use(&mut tx, quota, used).await?;
        }
        tx.commit().await
    }
}

impl handler::Handler for Handler {
    type Kind = ProvisionNamespace;

    async fn run(
        &self,
        context: JobContext,
        ProvisionNamespace {}: ProvisionNamespace,
    ) -> Result<Value, JobError> {
        let tenant = self.desired(&context).await?;
        let desired = TenantNamespace {
            tenant_id: tenant.id,
            tenant_uid: tenant.uid,
            plan: tenant.plan,
            quota: tenant.resource_quota,
        };
        let progress = context.progress.clone();
        let mut tell = move |step: Step| {
            let percent = step.done.saturating_mul(100) / step.total.max(1);
            progress.report_soon(u8::try_from(percent).unwrap_or(100), &step.message);
        };
        let provisioning = unity_kubernetes::provision(&self.cluster, &desired, &mut tell);
        let report = Box::pin(provisioning)
            .await
            .map_err(|error| job_error(&error))?;
        self.record_use(&context).await;
        serde_json::to_value(&report).map_err(|error| JobError::Fail {
            code: "result.unwritable".to_owned(),
            message: error.to_string(),
        })
    }
}

pub(super) fn job_error(error: &ProvisionError) -> JobError {
    let code = error.code().to_owned();
    let message = error.message();
    match (error.retryable(), error.retry_after()) {
        (true, Some(delay)) => JobError::RetryAfter {
            code,
            message,
            delay,
        },
        (true, None) => JobError::Retry { code, message },
        (false, _) => JobError::Fail { code, message },
    }
}
