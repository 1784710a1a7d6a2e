//! What a key is asked to be, and what it may be.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use unity_shared::{
    ids::ApiKeyId,
    tenancy::{KeyMaker, NewKey, Role, Scope, Scopes},
};

use crate::{
    auth::{Actor, Caller},
    error::ApiError,
    violations::Violations,
};

/// A key to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOrder {
    /// What people call it.
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    /// What it may do; not more than whoever asks. Without it `tenant-member`, or `system-admin` for a
    /// key of the platform, which can be nothing else.
    role: Option<Role>,
    /// What it is confined to, as `resource:read` and `resource:write`; without it, to what the key is
    /// confined to that it is made with, or else to nothing.
    #[schema(min_items = 1)]
    scopes: Option<Vec<String>>,
    /// When it ends by itself: in the future, at most ten years ahead; without it never.
    expires_at: Option<DateTime<Utc>>,
    /// Requests a second that it may make; without it as many as the plan says.
    #[schema(minimum = 1, maximum = 100_000)]
    rate_limit_per_second: Option<i64>,
}

const LONGEST: TimeDelta = TimeDelta::days(3660);

impl KeyOrder {
    /// The key that `caller` may have, or all that is wrong with it.
    pub fn accept(self, caller: &Caller, now: DateTime<Utc>) -> Result<NewKey, ApiError> {
        let mut faults = Violations::default();
        faults.text("/name", &self.name, &(1..=200));
        let role = accept_role(self.role, caller, &mut faults);
        let scopes = accept_scopes(self.scopes, caller, &mut faults);
        if self
            .expires_at
            .is_some_and(|at| at <= now || at > now + LONGEST)
        {
            let detail = "must be in the future and at most ten years ahead";
            faults.add("/expires_at", "range", detail);
        }
        if let Some(limit) = self.rate_limit_per_second {
            faults.range("/rate_limit_per_second", limit, &(1..=100_000));
        }
        faults.finish()?;
        Ok(NewKey {
            id: ApiKeyId::new(),
            name: self.name,
            role,
            scopes,
            maker: match &caller.actor {
                Actor::User { id, .. } => KeyMaker::User(*id),
                Actor::ApiKey { id } => KeyMaker::Key(*id),
            },
            expires_at: self.expires_at,
            rate_limit_per_second: self
                .rate_limit_per_second
                .and_then(|limit| i32::try_from(limit).ok()),
        })
    }
}

fn accept_role(wanted: Option<Role>, caller: &Caller, faults: &mut Violations) -> Role {
    let (usual, fault) = match caller.tenant {
        None => (Role::SystemAdmin, "a key of the platform is system-admin"),
        Some(_) => (
            Role::TenantMember,
            "a tenant's key has a role of a tenant, and not a higher one than yours",
        ),
    };
    let role = wanted.unwrap_or(usual);
    let fits = (role == Role::SystemAdmin) == caller.tenant.is_none() && role <= caller.role;
    if !fits {
        faults.add("/role", "role", fault);
    }
    role
}

fn accept_scopes(wanted: Option<Vec<String>>, caller: &Caller, faults: &mut Violations) -> Scopes {
    let Some(wanted) = wanted else {
        return caller.scopes.clone();
    };
    if wanted.is_empty() {
        faults.add(
            "/scopes",
            "length",
            "must name at least one scope, or be left out",
        );
    }
    let mut scopes = BTreeSet::new();
    for (index, name) in wanted.iter().enumerate() {
        match name.parse::<Scope>() {
            Ok(scope) => {
                scopes.insert(scope);
            }
            Err(_) => faults.add(
                format!("/scopes/{index}"),
                "unknown",
                "must be a resource and a verb, as jobs:read",
            ),
        }
    }
    let scopes = Scopes::only(scopes);
    if !scopes.are_within(&caller.scopes) {
        faults.add("/scopes", "exceeded", "must not go beyond your own key's");
    }
    scopes
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use unity_shared::ids::TenantId;

    use super::*;

    fn caller(role: Role, scopes: Scopes) -> Caller {
        Caller {
            actor: Actor::ApiKey {
                id: ApiKeyId::new(),
            },
            role,
            tenant: (role != Role::SystemAdmin).then(|| TenantId::parse("acme").unwrap()),
            scopes,
            acting: None,
            must_change_password: false,
            rate_limit_per_second: None,
        }
    }

    fn accept(caller: &Caller, change: &Value) -> Result<NewKey, Vec<String>> {
        let mut order = json!({ "name": "ci" });
        for (name, value) in change.as_object().unwrap() {
            order[name] = value.clone();
        }
        let order: KeyOrder = serde_json::from_value(order).unwrap();
        match order.accept(caller, DateTime::UNIX_EPOCH) {
            Ok(key) => Ok(key),
            Err(ApiError::Invalid(errors)) => {
                Err(errors.into_iter().map(|error| error.pointer).collect())
            }
            Err(other) => panic!("{change} was answered with {other:?}"),
        }
    }

    #[test]
    fn a_key_is_not_more_than_whoever_asks_for_it() {
        let admin = caller(Role::TenantAdmin, Scopes::ALL);
        let member = caller(Role::TenantMember, Scopes::ALL);
        let system = caller(Role::SystemAdmin, Scopes::ALL);
        assert_eq!(accept(&admin, &json!({})).unwrap().role, Role::TenantMember);
        assert_eq!(accept(&system, &json!({})).unwrap().role, Role::SystemAdmin);
        for (caller, role) in [
            (&admin, "system-admin"),
            (&member, "tenant-admin"),
            (&system, "tenant-admin"),
        ] {
            let refused = accept(caller, &json!({ "role": role })).unwrap_err();
            assert_eq!(refused, ["/role"], "{role}");
        }
    }

    #[test]
    fn scopes_only_reduce() {
        let own = Scopes::only(
            [
                "jobs:read".parse().unwrap(),
                "api-keys:write".parse().unwrap(),
            ]
            .into(),
        );
        let confined = caller(Role::TenantAdmin, own.clone());
        let read = accept(&confined, &json!({ "scopes": ["jobs:read"] })).unwrap();
        assert_eq!(read.scopes.names().unwrap(), ["jobs:read"]);
        assert_eq!(accept(&confined, &json!({})).unwrap().scopes, own);
        for (scopes, pointer) in [
            (json!(["jobs:write"]), "/scopes"),
            (json!([]), "/scopes"),
            (json!(["jobs:read", "jobs"]), "/scopes/1"),
            (json!(["*"]), "/scopes/0"),
        ] {
            let refused = accept(&confined, &json!({ "scopes": scopes })).unwrap_err();
            assert_eq!(refused, [pointer], "{scopes}");
        }
    }

    #[test]
    fn ends_and_limits_have_a_range() {
        let admin = caller(Role::TenantAdmin, Scopes::ALL);
        for (change, pointer) in [
            (json!({ "name": "" }), "/name"),
            (json!({ "name": "a\u{0}" }), "/name"),
            (
                json!({ "expires_at": "1970-01-01T00:00:00Z" }),
                "/expires_at",
            ),
            (
                json!({ "expires_at": "2070-01-01T00:00:00Z" }),
                "/expires_at",
            ),
            (
                json!({ "rate_limit_per_second": 0 }),
                "/rate_limit_per_second",
            ),
            (
                json!({ "rate_limit_per_second": 100_001 }),
                "/rate_limit_per_second",
            ),
        ] {
            assert_eq!(accept(&admin, &change).unwrap_err(), [pointer], "{change}");
        }
    }
}
