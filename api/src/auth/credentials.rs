//! The credentials of a request whose answer goes on: whether they still hold.

use axum::http::{HeaderMap, header};
use unity_shared::{ids::TenantId, telemetry::chain};

use super::{Caller, authenticate::authenticate};
use crate::{error::ApiError, state::ApiState};

/// What a request was let in with, and as whom.
pub struct Credentials {
    /// The `Authorization` header, and nothing else of the request.
    headers: HeaderMap,
    caller: Caller,
}

impl Credentials {
    /// Those of a request that was let in as `caller`.
    pub fn of(headers: &HeaderMap, caller: &Caller) -> Self {
        let authorization = headers.get_all(header::AUTHORIZATION).iter();
        Self {
            headers: authorization
                .map(|value| (header::AUTHORIZATION, value.clone()))
                .collect(),
            caller: caller.clone(),
        }
    }

    /// The caller's tenant; absent for a system administrator.
    pub const fn tenant(&self) -> Option<&TenantId> {
        self.caller.tenant.as_ref()
    }

    /// Whether the request would be let in again as the same caller: the key or session is neither
    /// revoked nor past its end, has the same role and scopes, and its tenant is in use. What cannot
    /// be found out counts as no.
    pub async fn hold(&self, state: &ApiState) -> bool {
        match self.check(state).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(error = chain(&error), "credentials hold no more");
                false
            }
        }
    }

    /// The same, with the refusal that the request would get now.
    pub async fn check(&self, state: &ApiState) -> Result<(), ApiError> {
        let now = authenticate(state, &self.headers).await?;
        if now == self.caller {
            Ok(())
        } else {
            Err(ApiError::Unauthenticated)
        }
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("caller", &self.caller)
            .finish_non_exhaustive()
    }
}
