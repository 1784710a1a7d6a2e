//! The caller of a request, as its key's row says.

use axum::{extract::FromRequestParts, http::request::Parts};
use unity_shared::{
    ids::{ApiKeyId, TenantId},
    tenancy::Role,
};

use crate::error::ApiError;

/// Who calls. The tenant comes from the key alone; nothing else in a request can name it.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The key's name in logs.
    pub key_id: ApiKeyId,
    /// What the key may do.
    pub role: Role,
    /// The key's tenant; absent for a system administrator.
    pub tenant: Option<TenantId>,
}

/// A caller who belongs to a tenant. A handler takes it where its route's rule lets nobody else in.
#[derive(Debug, Clone)]
pub struct TenantCaller {
    /// What the key may do.
    pub role: Role,
    /// The key's tenant.
    pub tenant: TenantId,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::Defect("a route without a rule asks who calls".to_owned()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TenantCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Caller {
            key_id: _,
            role,
            tenant,
        } = Caller::from_request_parts(parts, state).await?;
        let tenant = tenant.ok_or(ApiError::TenantRequired)?;
        Ok(Self { role, tenant })
    }
}
