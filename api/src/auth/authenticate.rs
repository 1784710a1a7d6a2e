//! From the `Authorization` header to the caller.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use tracing::Span;
use unity_shared::{
    db::DbError,
    sessions::SessionOwner,
    tenancy::{ActAsToken, ApiKey, KeyOwner, Role, Scopes, TenantStatus},
};

use super::{Actor, Caller};
use crate::{error::ApiError, state::ApiState};

/// What every API key begins with; an access token cannot.
const KEY_PREFIX: &str = "uk_";

/// Why nobody is let in.
#[derive(Debug)]
pub enum NotLetIn {
    /// The answer says why.
    Refused(ApiError),
    /// The key is whole and another tenant's than its text says: whoever sends it changed it. They are
    /// answered as if there were none, and the key's owner is named in the audit log.
    Misnamed(Box<Caller>),
    /// The caller's tenant is not in use. What the answer says, and who it is, for the audit log.
    OfInactive(Box<Caller>, ApiError),
}

impl From<ApiError> for NotLetIn {
    fn from(error: ApiError) -> Self {
        Self::Refused(error)
    }
}

impl From<Arc<DbError>> for NotLetIn {
    fn from(error: Arc<DbError>) -> Self {
        Self::Refused(error.into())
    }
}

impl From<NotLetIn> for ApiError {
    fn from(reason: NotLetIn) -> Self {
        match reason {
            NotLetIn::Refused(error) | NotLetIn::OfInactive(_, error) => error,
            NotLetIn::Misnamed(_) => Self::Unauthenticated,
        }
    }
}

/// Finds who calls and that their tenant is in use. Whatever is wrong with the credential, the answer is
/// the same: nobody learns which exist.
pub async fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Caller, NotLetIn> {
    let token = read_token(headers).ok_or(ApiError::Unauthenticated)?;
    let (caller, status) = if token.starts_with(KEY_PREFIX) {
        find_program(state, token).await?
    } else if let Ok(token) = ActAsToken::parse(token) {
        find_acting(state, &token).await?
    } else {
        find_person(state, token).await?
    };
    name_in_log(&caller);
    if caller.tenant.is_none() != (caller.role == Role::SystemAdmin) {
        let actor = &caller.actor;
        let problem = format!("the role of {actor} does not fit its tenant");
        return Err(ApiError::Defect(problem).into());
    }
    match status.and_then(why_refused) {
        Some((code, state)) => {
            let error = ApiError::TenantInactive { code, state };
            Err(NotLetIn::OfInactive(Box::new(caller), error))
        }
        None => Ok(caller),
    }
}

async fn find_program(
    state: &ApiState,
    token: &str,
) -> Result<(Caller, Option<TenantStatus>), NotLetIn> {
    let key = ApiKey::parse(token).map_err(|_| ApiError::Unauthenticated)?;
    let owner = state.key_owners().find(&key).await?;
    let KeyOwner {
        key_id,
        tenant_id,
        tenant_status,
        role,
        scopes,
        expires_at,
        rate_limit_per_second,
    } = owner.ok_or(ApiError::Unauthenticated)?;
    let is_named = key.names(tenant_id.as_ref());
    let caller = Caller {
        actor: Actor::ApiKey { id: key_id },
        role,
        tenant: tenant_id,
        scopes,
        acting: None,
        must_change_password: false,
        key_ends_at: expires_at,
        rate_limit_per_second,
    };
    if !is_named {
        tracing::warn!(%key_id, "a key that exists was sent with another tenant's name in its text");
        return Err(NotLetIn::Misnamed(Box::new(caller)));
    }
    state.key_uses().note(key_id);
    Ok((caller, tenant_status))
}

async fn find_person(
    state: &ApiState,
    token: &str,
) -> Result<(Caller, Option<TenantStatus>), ApiError> {
    let owner = state.session_owners().find(token).await?;
    let SessionOwner {
        session,
        user,
        email,
        must_change_password,
        epoch: _,
        tenant,
        tenant_status,
        role,
        opened_with,
        expires_at: _,
    } = owner.ok_or(ApiError::Unauthenticated)?;
    let caller = Caller {
        actor: Actor::User {
            id: user,
            session,
            email,
            opened_with,
        },
        // Whoever is no member any more is nobody here.
        role: role.ok_or(ApiError::Unauthenticated)?,
        tenant,
        scopes: Scopes::ALL,
        acting: None,
        must_change_password,
        key_ends_at: None,
        rate_limit_per_second: None,
    };
    Ok((caller, tenant_status))
}

/// A system administrator inside a tenant.
async fn find_acting(
    state: &ApiState,
    token: &ActAsToken,
) -> Result<(Caller, Option<TenantStatus>), ApiError> {
    let found = state.act_as_tokens().find(token).await?;
    let (caller, status) = found.ok_or(ApiError::Unauthenticated)?;
    Ok((caller, Some(status)))
}

fn name_in_log(caller: &Caller) {
    let span = Span::current();
    // Nobody reads it: a name need not be made.
    if span.is_disabled() {
        return;
    }
    span.record("actor", caller.actor.to_string());
    if let Some(tenant) = &caller.tenant {
        span.record("tenant_id", tenant.as_str());
    }
}

/// The one bearer token of the request.
fn read_token(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let (scheme, token) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    Some(token.trim_matches(' '))
}

/// Code and state of a tenant whose callers are refused; absent = they may pass.
pub fn why_refused(status: TenantStatus) -> Option<(&'static str, &'static str)> {
    match status {
        TenantStatus::Active => None,
        TenantStatus::Suspended => Some(("tenant.suspended", "suspended")),
        TenantStatus::Deleted => Some(("tenant.deleted", "deleted")),
        TenantStatus::Purging => Some(("tenant.purging", "being purged")),
        TenantStatus::Purged => Some(("tenant.purged", "purged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_token_is_read_behind_any_spelling_of_bearer() {
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let value = format!("{scheme} token");
            assert_eq!(read_token(&headers(&[&value])), Some("token"));
        }
    }

    #[test]
    fn anything_else_is_no_token() {
        for bad in [
            &[][..],
            &["Bearer"],
            &["Basic token"],
            &["Bearer token", "Bearer token"],
        ] {
            assert_eq!(read_token(&headers(bad)), None, "{bad:?}");
        }
        assert_eq!(read_token(&headers(&["Bearer "])), Some(""));
    }
}
