//! `provision_namespace`: brings the tenant's namespace to what its row says now.

use serde_json::Value;
use unity_kubernetes::{ClusterClient, ProvisionError, Step, TenantNamespace};
use unity_shared::{
    db::Database,
    jobs::kinds::ProvisionNamespace,
    tenancy::{Tenant, TenantStatus, find_tenant},
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
        let unavailable = |error: unity_shared::db::DbError| {
            tracing::warn!(
                error = unity_shared::telemetry::chain(&error),
                "could not read the tenant"
            );
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
        let report = unity_kubernetes::provision(&self.cluster, &desired, &mut tell)
            .await
            .map_err(|error| job_error(&error))?;
        serde_json::to_value(&report).map_err(|error| JobError::Fail {
            code: "result.unwritable".to_owned(),
            message: error.to_string(),
        })
    }
}

fn job_error(error: &ProvisionError) -> JobError {
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
