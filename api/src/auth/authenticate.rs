//! From the `Authorization` header to the caller.

use axum::http::{HeaderMap, header};
use tracing::Span;
use unity_shared::tenancy::{ActAsToken, ApiKey, KeyOwner, Role, Scopes, TenantStatus};

use super::{Actor, Caller};
use crate::{error::ApiError, state::ApiState};

/// Finds who calls and that their tenant is in use. Whatever is wrong with the key, the answer is the
/// same: nobody learns which keys exist.
pub async fn authenticate(state: &ApiState, headers: &HeaderMap) -> Result<Caller, ApiError> {
    let token = read_bearer(headers).ok_or(ApiError::Unauthenticated)?;
    if let Ok(token) = ActAsToken::parse(token) {
        return authenticate_acting(state, &token).await;
    }
    let key = ApiKey::parse(token).map_err(|_| ApiError::Unauthenticated)?;
    let owner = state
        .key_owners()
        .find(&key)
        .await?
        .ok_or(ApiError::Unauthenticated)?;
    let KeyOwner {
        key_id,
        tenant_id,
        tenant_status,
        role,
    } = owner;
    let caller = Caller {
        actor: Actor::ApiKey { id: key_id },
        role,
        tenant: tenant_id,
        scopes: Scopes::ALL,
        acting: None,
        rate_limit_per_second: None,
    };
    name_in_log(&caller);
    if caller.tenant.is_none() != (role == Role::SystemAdmin) {
        return Err(ApiError::Defect(format!(
            "the role of key {key_id} does not fit its tenant"
        )));
    }
    match tenant_status.and_then(why_refused) {
        Some((code, state)) => Err(ApiError::TenantInactive { code, state }),
        None => Ok(caller),
    }
}

/// A system administrator inside a tenant.
async fn authenticate_acting(state: &ApiState, token: &ActAsToken) -> Result<Caller, ApiError> {
    let found = state.act_as_tokens().find(token).await?;
    let (caller, status) = found.ok_or(ApiError::Unauthenticated)?;
    name_in_log(&caller);
    match why_refused(status) {
        Some((code, state)) => Err(ApiError::TenantInactive { code, state }),
        None => Ok(caller),
    }
}

fn name_in_log(caller: &Caller) {
    let span = Span::current();
    span.record("actor", caller.actor.to_string());
    if let Some(tenant) = &caller.tenant {
        span.record("tenant_id", tenant.as_str());
    }
}

/// The one bearer token of the request.
fn read_bearer(headers: &HeaderMap) -> Option<&str> {
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

    fn read_key(headers: &HeaderMap) -> Option<ApiKey> {
        ApiKey::parse(read_bearer(headers)?).ok()
    }

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::AUTHORIZATION, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_read_behind_any_spelling_of_bearer() {
        let key = ApiKey::generate(None);
        for scheme in ["Bearer", "bearer", "BEARER"] {
            let value = format!("{scheme} {}", key.reveal());
            assert_eq!(read_key(&headers(&[&value])), Some(key.clone()));
        }
    }

    #[test]
    fn anything_else_is_no_key() {
        let key = ApiKey::generate(None);
        let good = format!("Bearer {}", key.reveal());
        let changed = format!("{good}x");
        let basic = good.replace("Bearer", "Basic");
        for bad in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &[&basic],
            &[&changed],
            &[&good, &good],
        ] {
            assert_eq!(read_key(&headers(bad)), None, "{bad:?}");
        }
    }
}
