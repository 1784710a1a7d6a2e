//! RBAC's guard against itself: nobody hands out rights that they do not have.

use serde_json::{Value, json};

use crate::authorize::{Attributes, GROUP, allowed, grants, has, rules_of};
use crate::identity::Identity;
use crate::resources::Resource;
use crate::status::Failure;
use crate::store::Store;
use crate::tree;

/// Refuses roles and bindings that would give more than the caller has.
///
/// # Errors
/// 403 that lists the rules the caller lacks.
pub fn refuse(
    store: &Store,
    identity: &Identity,
    resource: &Resource,
    live: Option<&Value>,
    object: &Value,
) -> Result<(), Failure> {
    if identity.is_master() || resource.group != GROUP {
        return Ok(());
    }
    let namespace = tree::text(object, &["metadata", "namespace"]);
    let is_role = resource.kind.ends_with("Role");
    if is_role && live.is_some_and(|live| live.get("rules") == object.get("rules")) {
        return Ok(());
    }
    if allowed(store, identity, &exception(resource, object)).is_some() {
        return Ok(());
    }
    let given = if is_role {
        tree::items(object, &["rules"])
    } else {
        rules_of(store, tree::at(object, &["roleRef"]), namespace)
    };
    let owned = grants(store, identity, namespace);
    let lacking: Vec<String> = given
        .iter()
        .flat_map(single_rights)
        .filter(|right| !owned.iter().any(|grant| rule_covers(grant.rule, right)))
        .map(|right| right.to_string())
        .collect();
    if lacking.is_empty() {
        return Ok(());
    }
    let why = format!(
        "user \"{}\" (groups={}) is attempting to grant RBAC permissions not currently held:\n{}",
        identity.user,
        json!(identity.groups),
        lacking.join("\n")
    );
    Err(Failure::forbidden(
        resource,
        tree::text(object, &["metadata", "name"]),
        &why,
    ))
}

/// The right that lets a caller hand out what they do not have.
fn exception(resource: &Resource, object: &Value) -> Attributes {
    let kind = tree::text(object, &["roleRef", "kind"]);
    let (verb, plural, path): (&str, &str, &[&str]) = match (resource.kind, kind) {
        ("Role" | "ClusterRole", _) => ("escalate", resource.plural, &["metadata", "name"]),
        (_, "ClusterRole") => ("bind", "clusterroles", &["roleRef", "name"]),
        (_, _) => ("bind", "roles", &["roleRef", "name"]),
    };
    Attributes {
        verb: verb.to_owned(),
        group: GROUP.to_owned(),
        resource: plural.to_owned(),
        namespace: tree::text(object, &["metadata", "namespace"]).to_owned(),
        name: tree::text(object, path).to_owned(),
        ..Attributes::default()
    }
}

/// A rule taken apart into one verb on one thing each.
fn single_rights(rule: &Value) -> Vec<Value> {
    let mut rights = Vec::new();
    for verb in tree::items(rule, &["verbs"]) {
        for path in tree::items(rule, &["nonResourceURLs"]) {
            rights.push(json!({"verbs": [verb], "nonResourceURLs": [path]}));
        }
        for group in tree::items(rule, &["apiGroups"]) {
            for resource in tree::items(rule, &["resources"]) {
                let mut right = json!({
                    "verbs": [verb], "apiGroups": [group], "resources": [resource]});
                if let Some(names) = rule.get("resourceNames") {
                    tree::put(&mut right, &["resourceNames"], names.clone());
                }
                rights.push(right);
            }
        }
    }
    rights
}

fn rule_covers(rule: &Value, right: &Value) -> bool {
    let covers = |list: &str| {
        tree::texts(right, &[list])
            .iter()
            .all(|one| has(rule, list, one))
    };
    if right.get("nonResourceURLs").is_some() {
        return covers("verbs") && covers("nonResourceURLs");
    }
    let named = tree::items(rule, &["resourceNames"]);
    let wanted = tree::items(right, &["resourceNames"]);
    covers("verbs")
        && covers("apiGroups")
        && covers("resources")
        && (named.is_empty()
            || (!wanted.is_empty() && wanted.iter().all(|one| named.contains(one))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn nobody_grants_more_than_they_have() {
        let (store, account) = (
            crate::authorize::tests::store(),
            Identity::service_account("n", "a", ""),
        );
        let roles = resources::stored(GROUP, "roles").expect("served");
        let role = |verb: &str| {
            json!({"metadata": {"namespace": "n", "name": "new"}, "rules": [
                {"verbs": [verb], "apiGroups": [""], "resources": ["configmaps"]}]})
        };
        assert!(refuse(&store, &account, roles, None, &role("get")).is_ok());
        let failure = refuse(&store, &account, roles, None, &role("delete"));
        assert_eq!(failure.expect_err("refused").code, 403);
    }
}
