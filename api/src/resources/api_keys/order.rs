//! What a key is asked to be, and what it may be.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use unity_shared::{
    ids::ApiKeyId,
    tenancy::{KeyMaker, NewKey, Resource, Role, Scope, Scopes},
};

use crate::{
    auth::{Actor, Caller},
    error::ApiError,
    extract::whole_or_null,
    openapi::{KeyRole, ScopeName},
    violations::Violations,
};

/// A key to be made.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyOrder {
    /// What people call it.
    #[schema(min_length = 1, max_length = 200, format = "line")]
    name: String,
    /// What it may do; not more than whoever asks. Without it `tenant-member`, or `system-admin` for a
    /// key of the platform, which can be nothing else.
    #[schema(value_type = Option<KeyRole>)]
    role: Option<Role>,
    /// What it is confined to, as `resource:read` and `resource:write`; without it, to what the key is
    /// confined to that it is made with, or else to nothing.
    #[schema(value_type = Option<Vec<ScopeName>>, min_items = 1, max_items = 14)]
    scopes: Option<Vec<String>>,
    /// When it ends by itself: in the future, at most ten years ahead; without it never. A key that is
    /// made with a key ends with that one at the latest, and without a word at the same time.
    expires_at: Option<DateTime<Utc>>,
    /// Requests a second that it may make; without it as many as the plan says. More than the plan says
    /// is worth no more, and a key that is made with a key that has a rate has that one's at most.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 100_000)]
    rate_limit_per_second: Option<i64>,
}

/// Each resource can be read and written.
const MOST_SCOPES: usize = 2 * Resource::ALL.len();
const LONGEST: TimeDelta = TimeDelta::days(3660);

impl KeyOrder {
    /// The key that `caller` may have, or all that is wrong with it.
    pub fn accept(self, caller: &Caller, now: DateTime<Utc>) -> Result<NewKey, ApiError> {
        let mut faults = Violations::default();
        faults.text("/name", &self.name, &(1..=200));
        let role = accept_role(self.role, caller, &mut faults);
        let scopes = accept_scopes(self.scopes, caller, &mut faults);
        let expires_at = accept_end(self.expires_at, caller, now, &mut faults);
        let rate = accept_rate(self.rate_limit_per_second, caller, &mut faults);
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
            expires_at,
            rate_limit_per_second: rate.and_then(|limit| i32::try_from(limit).ok()),
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

/// Nobody outlives the end of a key by making another with it.
fn accept_end(
    wanted: Option<DateTime<Utc>>,
    caller: &Caller,
    now: DateTime<Utc>,
    faults: &mut Violations,
) -> Option<DateTime<Utc>> {
    if wanted.is_some_and(|at| at <= now || at > now + LONGEST) {
        let detail = "must be in the future and at most ten years ahead";
        faults.add("/expires_at", "range", detail);
    }
    if let (Some(at), Some(own)) = (wanted, caller.key_ends_at)
        && at > own
    {
        faults.add(
            "/expires_at",
            "exceeded",
            "must not be after your own key's",
        );
    }
    wanted.or(caller.key_ends_at)
}

fn accept_rate(wanted: Option<i64>, caller: &Caller, faults: &mut Violations) -> Option<i64> {
    let own = caller.rate_limit_per_second.map(i64::from);
    if let Some(rate) = wanted {
        faults.range("/rate_limit_per_second", rate, &(1..=100_000));
        if own.is_some_and(|own| rate > own) {
            let detail = "must not be above your own key's";
            faults.add("/rate_limit_per_second", "exceeded", detail);
        }
    }
    wanted.or(own)
}

fn accept_scopes(wanted: Option<Vec<String>>, caller: &Caller, faults: &mut Violations) -> Scopes {
    let Some(wanted) = wanted else {
        return caller.scopes.clone();
    };
    if !(1..=MOST_SCOPES).contains(&wanted.len()) {
        let detail = format!("must name 1 to {MOST_SCOPES} scopes, or be left out");
        faults.add("/scopes", "length", &detail);
        return Scopes::only(BTreeSet::new());
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
            key_ends_at: None,
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
            (json!(vec![""; 15]), "/scopes"),
            (json!(["jobs:read", "jobs"]), "/scopes/1"),
            (json!(["*"]), "/scopes/0"),
        ] {
            let refused = accept(&confined, &json!({ "scopes": scopes })).unwrap_err();
            assert_eq!(refused, [pointer], "{scopes}");
        }
    }

    #[test]
    fn a_key_neither_outlives_nor_outruns_the_key_that_it_is_made_with() {
        let end: DateTime<Utc> = "1970-01-02T00:00:00Z".parse().unwrap();
        let mut parent = caller(Role::TenantAdmin, Scopes::ALL);
        parent.key_ends_at = Some(end);
        parent.rate_limit_per_second = Some(5);
        let child = accept(&parent, &json!({})).unwrap();
        assert_eq!(
            (child.expires_at, child.rate_limit_per_second),
            (Some(end), Some(5))
        );
        let less = json!({ "expires_at": "1970-01-01T12:00:00Z", "rate_limit_per_second": 4 });
        let child = accept(&parent, &less).unwrap();
        assert!(child.expires_at < Some(end) && child.rate_limit_per_second == Some(4));
        let more = json!({ "expires_at": "1970-01-02T00:00:01Z", "rate_limit_per_second": 6 });
        let refused = accept(&parent, &more).unwrap_err();
        assert_eq!(refused, ["/expires_at", "/rate_limit_per_second"]);
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
