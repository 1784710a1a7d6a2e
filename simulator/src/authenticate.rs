//! From credentials and impersonation headers to the caller.

use chrono::{DateTime, Utc};

use crate::authorize::{self, Attributes};
use crate::identity::{Identity, account_of, verify};
use crate::request::Request;
use crate::status::Failure;
use crate::store::Store;
use crate::{resources, tree};

/// Who a credential stands for.
///
/// # Errors
/// 401 when the credential is missing, wrong, expired, or of an account that is gone.
pub fn caller(
    store: &Store,
    credential: Option<&str>,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Identity, Failure> {
    let credential = credential.ok_or_else(Failure::unauthorized)?;
    if credential == token {
        return Ok(Identity::administrator());
    }
    let claims = verify(credential, token, now).ok_or_else(Failure::unauthorized)?;
    let is_alive = resources::stored("", "serviceaccounts")
        .and_then(|accounts| store.get(accounts, &claims.namespace, &claims.name))
        .is_some_and(|account| tree::text(account, &["metadata", "uid"]) == claims.uid);
    if !is_alive {
        return Err(Failure::unauthorized());
    }
    Ok(Identity::service_account(
        &claims.namespace,
        &claims.name,
        &claims.uid,
    ))
}

/// The caller, or whoever the caller impersonates with the headers of the request.
///
/// # Errors
/// 403 when the caller may not impersonate them, 400 when groups are given without a user.
pub fn impersonate(
    store: &Store,
    caller: Identity,
    request: &Request,
) -> Result<Identity, Failure> {
    let user = request.header("impersonate-user");
    let groups: Vec<String> = request
        .headers
        .get_all("impersonate-group")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .map(str::to_owned)
        .collect();
    let uid = request.header("impersonate-uid");
    if user.is_empty() {
        let has_rest = !groups.is_empty() || !uid.is_empty();
        return if has_rest {
            Err(Failure::bad_request(
                "requested groups or uid without impersonating a user",
            ))
        } else {
            Ok(caller)
        };
    }
    let mut wanted = vec![match account_of(user) {
        Some((namespace, name)) => right("", "serviceaccounts", namespace, name),
        None => right("", "users", "", user),
    }];
    wanted.extend(groups.iter().map(|group| right("", "groups", "", group)));
    if !uid.is_empty() {
        wanted.push(right("authentication.k8s.io", "uids", "", uid));
    }
    for attributes in &wanted {
        authorize::require(store, &caller, attributes)?;
    }
    Ok(Identity::impersonated(user, uid, groups))
}

fn right(group: &str, resource: &str, namespace: &str, name: &str) -> Attributes {
    Attributes {
        verb: "impersonate".to_owned(),
        group: group.to_owned(),
        resource: resource.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        ..Attributes::default()
    }
}
