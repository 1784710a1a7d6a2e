//! The audit log. It is read here and nowhere written: who changes something tells of it in the
//! same transaction (`unity_shared::audit`).

mod head;
mod list;

use unity_shared::{
    audit::{
        AuditFilter, AuditRow, ChainHead, PLATFORM_CHAIN, find_audit_head,
        find_platform_audit_head, list_audit_log, list_platform_audit_log,
    },
    ids::TenantId,
    tenancy::Role,
};
use utoipa_axum::routes;

use crate::{
    auth::{Access, Caller, Routes},
    error::ApiError,
    state::ApiState,
};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(
            Access::TenantOrSystem(Role::TenantAdmin),
            routes!(list::list_audit_log),
        )
        .route(
            Access::TenantOrSystem(Role::TenantAdmin),
            routes!(head::get_audit_log_head),
        )
}

/// A log that the caller may read.
enum Log {
    /// The caller's own, read in its name.
    Own(TenantId),
    /// The platform's, or a tenant's for a system administrator.
    Any(String),
}

impl Log {
    /// The log that a request is about. A tenant may name itself and nobody else.
    fn of(caller: &Caller, named: Option<&str>) -> Result<Self, ApiError> {
        match (&caller.tenant, named) {
            (Some(own), None) => Ok(Self::Own(own.clone())),
            (Some(own), Some(named)) if own.as_str() == named => Ok(Self::Own(own.clone())),
            (Some(_), Some(_)) => Err(ApiError::NotFound),
            (None, None | Some(PLATFORM_CHAIN)) => Ok(Self::Any(PLATFORM_CHAIN.to_owned())),
            (None, Some(named)) => {
                let tenant = TenantId::parse(named).map_err(|_| ApiError::NotFound)?;
                Ok(Self::Any(tenant.to_string()))
            }
        }
    }

    async fn list(
        &self,
        state: &ApiState,
        filter: &AuditFilter,
    ) -> Result<Vec<AuditRow>, ApiError> {
        match self {
            Self::Own(tenant) => {
                let mut tx = state.database().tenant(tenant).await?;
                Ok(list_audit_log(&mut tx, filter).await?)
            }
            Self::Any(name) => {
                let mut tx = state.database().operator().statement().await?;
                Ok(list_platform_audit_log(&mut tx, name, filter).await?)
            }
        }
    }

    async fn head(&self, state: &ApiState) -> Result<ChainHead, ApiError> {
        match self {
            Self::Own(tenant) => {
                let mut tx = state.database().tenant(tenant).await?;
                Ok(find_audit_head(&mut tx).await?)
            }
            Self::Any(name) => {
                let mut tx = state.database().operator().statement().await?;
                Ok(find_platform_audit_head(&mut tx, name).await?)
            }
        }
    }
}
