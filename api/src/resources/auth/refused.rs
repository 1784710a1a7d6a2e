//! Tells the audit log of logins that failed.
//!
//! Whose account it is, and so whose log, is looked up after the answer, on a task of its own: a known
//! address and an unknown one are refused in the same time.

use unity_shared::{
    audit::AuditedObject,
    ids::TenantId,
    sessions::{Account, list_choices},
    telemetry::chain,
};

use super::create_token::find;
use crate::{
    audit::{Refusal, Visitor},
    error::ApiError,
    state::ApiState,
};

/// What somebody tried to log in with, but for the password.
pub struct Attempt {
    /// The address, as it was sent.
    pub email: String,
    /// The tenant that they named; absent = none.
    pub tenant: Option<String>,
}

/// Whose log is told.
struct Told {
    /// Absent = the platform's.
    tenant: Option<TenantId>,
    /// Whether a tenant was named that is not the account's.
    crossed: bool,
    object: AuditedObject,
}

/// Tells of the attempt later, if it was refused and not by a fault of ours.
pub fn tell_of_failed(state: &ApiState, visitor: &Visitor, attempt: Attempt, error: &ApiError) {
    let is_told = matches!(
        error,
        ApiError::LoginFailed | ApiError::TooManyAttempts { .. } | ApiError::TenantInactive { .. }
    );
    if !is_told {
        return;
    }
    let (visitor, code) = (visitor.clone(), error.code());
    state.tell_later(|state| async move {
        match look_up(&state, &attempt).await {
            Ok(told) => {
                let refusal = Refusal {
                    author: visitor.anonymous(),
                    tenant: told.tenant,
                    crossed: told.crossed,
                    object: told.object,
                    method: "POST".to_owned(),
                    route: "/api/v1/auth/token".to_owned(),
                    code: code.to_owned(),
                };
                state.denials().tell(refusal).await;
            }
            Err(error) => {
                metrics::counter!("unity_audit_denials_lost_total").increment(1);
                let error: &ApiError = &error;
                tracing::error!(error = chain(error), "could not tell of a failed login");
            }
        }
    });
}

/// A known account's log is that of the tenant that was named, if it is a member there, or of its only
/// tenant. Everything else is the platform's. An address that nobody has is not kept: people type
/// passwords into the wrong field.
async fn look_up(state: &ApiState, attempt: &Attempt) -> Result<Told, ApiError> {
    let Some(account) = find(state, &attempt.email).await? else {
        return Ok(Told {
            tenant: None,
            crossed: false,
            object: AuditedObject::several("user"),
        });
    };
    let Account {
        id, platform_role, ..
    } = account;
    let mut tx = state.database().issuer().statement().await?;
    let choices = list_choices(&mut tx, id).await?;
    let mut tenants = choices.into_iter().map(|choice| choice.tenant);
    let object = AuditedObject::one("user", id);
    let named = attempt.tenant.as_deref();
    let (tenant, crossed) = match named {
        Some(named) => {
            let own = tenants.find(|tenant| tenant.as_str() == named);
            let crossed = own.is_none();
            (own, crossed)
        }
        None if platform_role.is_some() || tenants.len() != 1 => (None, false),
        None => (tenants.next(), false),
    };
    Ok(Told {
        tenant,
        crossed,
        object,
    })
}
