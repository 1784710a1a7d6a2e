//! A tenant as it is shown after a change, and what the gate is told of it.

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::json;
use unity_shared::{
    db::{DbError, Operator, PlatformTx},
    ids::{JobId, RequestId},
    jobs::{
        Enqueued, NewJob, enqueue_as_operator,
        kinds::{ProvisionNamespace, spec_of},
    },
    tenancy::{LimitsAt, Tenant},
};

use crate::{
    enqueue::{announce_limits, tell_gate},
    error::ApiError,
    extract::etag,
    state::ApiState,
};

/// A tenant that was changed.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct TenantChanged {
    #[serde(flatten)]
    tenant: Tenant,
    /// The job that brings its namespace in line; null if nothing there is to change.
    #[schema(required)]
    job_id: Option<JobId>,
}

/// A change that was made, as far as it concerns others.
#[derive(Debug)]
pub struct Changed {
    /// The tenant as it is now.
    pub tenant: Tenant,
    /// What brings its namespace in line.
    pub job: Option<NewJob>,
}

impl Changed {
    /// The tenant with the job that brings its namespace in line, which is written here. A tenant that
    /// is not in use gets none; it will when it is again.
    pub async fn provisioned(
        tx: &mut PlatformTx<Operator>,
        tenant: Tenant,
        request_id: Option<RequestId>,
        now: DateTime<Utc>,
    ) -> Result<Self, ApiError> {
        if !tenant.status.in_use() {
            return Ok(Self { tenant, job: None });
        }
        let mut job = NewJob::new(&spec_of::<ProvisionNamespace>(), &json!({}), now)
            .map_err(|error| ApiError::Defect(error.to_string()))?;
        job.request_id = request_id;
        enqueue_as_operator(tx, &tenant.id, &job, now).await?;
        let job = Some(job);
        Ok(Self { tenant, job })
    }

    /// Tells the gate, after the commit: how many jobs the tenant may run now, and the new one.
    pub async fn tell_gate(&self, state: &ApiState, now: DateTime<Utc>) {
        let Tenant {
            id,
            status,
            job_limits,
            version,
            ..
        } = &self.tenant;
        let limits = LimitsAt {
            tenant_id: id.clone(),
            version: *version,
            limits: job_limits.clone(),
        };
        announce_limits(state.gate(), &limits.for_gate(*status)).await;
        state.waiting_caps().forget(id);
        if let Some(job) = &self.job {
            let written = Enqueued {
                written: [job.id].into(),
                superseded: Vec::new(),
            };
            tell_gate(state.gate(), [(id, job)], &written, now).await;
        }
    }

    /// The body of the answer.
    pub fn view(&self) -> TenantChanged {
        TenantChanged {
            job_id: self.job.as_ref().map(|job| job.id),
            tenant: self.tenant.clone(),
        }
    }
}

impl IntoResponse for TenantChanged {
    fn into_response(self) -> Response {
        let etag = [(header::ETAG, etag(self.tenant.version))];
        (etag, Json(self)).into_response()
    }
}

/// Why a change was not made.
pub enum Refused {
    /// The caller is told.
    Api(ApiError),
    /// A statement failed, which may mean that an equal request was first.
    Database(DbError),
}

impl From<ApiError> for Refused {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<DbError> for Refused {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}
