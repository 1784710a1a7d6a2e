//! RBAC: what the stored roles and bindings let a caller do.

use serde_json::Value;

use crate::identity::{Identity, account_of};
use crate::resources::{self, Resource};
use crate::status::Failure;
use crate::store::Store;
use crate::tree;

/// API group of roles and bindings.
pub const GROUP: &str = "rbac.authorization.k8s.io";

/// What a caller wants to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `get`, `list`, `create` and so on.
    pub verb: String,
    /// API group of the resource.
    pub group: String,
    /// Plural of the resource; empty for a path that is no resource.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Namespace; empty at cluster scope or for all namespaces.
    pub namespace: String,
    /// Name of the object, or empty.
    pub name: String,
    /// The path, where it is no resource.
    pub path: String,
}

impl Attributes {
    fn full_resource(&self) -> String {
        if self.subresource.is_empty() {
            self.resource.clone()
        } else {
            format!("{}/{}", self.resource, self.subresource)
        }
    }
}

/// A rule that a caller has, with where it comes from.
#[derive(Debug)]
pub struct Grant<'a> {
    /// The rule.
    pub rule: &'a Value,
    /// For people: through which binding and role.
    pub reason: String,
}

/// Why the caller may, or `None` when nothing allows it.
pub fn allowed(store: &Store, identity: &Identity, wanted: &Attributes) -> Option<String> {
    if identity.is_master() {
        return Some(String::new());
    }
    grants(store, identity, &wanted.namespace)
        .into_iter()
        .find(|grant| rule_allows(grant.rule, wanted))
        .map(|grant| grant.reason)
}

/// Every rule that holds for a caller in a namespace (empty: at cluster scope).
pub fn grants<'a>(store: &'a Store, identity: &Identity, namespace: &str) -> Vec<Grant<'a>> {
    let mut found = Vec::new();
    for (plural, place) in [
        ("clusterrolebindings", None),
        ("rolebindings", Some(namespace)),
    ] {
        let Some(bindings) = resources::stored(GROUP, plural) else {
            continue;
        };
        if place == Some("") {
            continue;
        }
        for binding in store.list(bindings, place) {
            let subjects = tree::items(binding, &["subjects"]);
            let Some(subject) = subjects
                .iter()
                .find(|one| is_subject(one, identity, namespace))
            else {
                continue;
            };
            for rule in rules_of(store, tree::at(binding, &["roleRef"]), namespace) {
                found.push(Grant {
                    rule,
                    reason: reason(bindings, binding, subject),
                });
            }
        }
    }
    found
}

fn reason(bindings: &Resource, binding: &Value, subject: &Value) -> String {
    let text = |value, path: &[&str]| tree::text(value, path).to_owned();
    let namespace = text(binding, &["metadata", "namespace"]);
    let mut name = text(binding, &["metadata", "name"]);
    if !namespace.is_empty() {
        name = format!("{name}/{namespace}");
    }
    let mut who = text(subject, &["name"]);
    if tree::text(subject, &["kind"]) == "ServiceAccount" {
        who = format!("{who}/{}", tree::text(subject, &["namespace"]));
    }
    format!(
        "RBAC: allowed by {} \"{name}\" of {} \"{}\" to {} \"{who}\"",
        bindings.kind,
        text(binding, &["roleRef", "kind"]),
        text(binding, &["roleRef", "name"]),
        text(subject, &["kind"]),
    )
}

fn is_subject(subject: &Value, identity: &Identity, namespace: &str) -> bool {
    let name = tree::text(subject, &["name"]);
    match tree::text(subject, &["kind"]) {
        "User" => name == identity.user,
        "Group" => identity.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let place = match tree::text(subject, &["namespace"]) {
                "" => namespace,
                place => place,
            };
            account_of(&identity.user) == Some((place, name))
        }
        _ => false,
    }
}

/// The rules of the role that a binding refers to.
pub fn rules_of<'a>(store: &'a Store, reference: Option<&Value>, namespace: &str) -> &'a [Value] {
    let Some(reference) = reference else {
        return &[];
    };
    let (plural, place) = match tree::text(reference, &["kind"]) {
        "ClusterRole" => ("clusterroles", ""),
        _ => ("roles", namespace),
    };
    resources::stored(GROUP, plural)
        .and_then(|roles| store.get(roles, place, tree::text(reference, &["name"])))
        .map(|role| tree::items(role, &["rules"]))
        .unwrap_or_default()
}

/// Whether a list of a rule names `wanted` or everything.
pub fn has(rule: &Value, list: &str, wanted: &str) -> bool {
    tree::items(rule, &[list])
        .iter()
        .any(|one| one == "*" || one == wanted)
}

/// Whether one rule allows what is wanted.
pub fn rule_allows(rule: &Value, wanted: &Attributes) -> bool {
    if !has(rule, "verbs", &wanted.verb) {
        return false;
    }
    if wanted.resource.is_empty() {
        return tree::texts(rule, &["nonResourceURLs"])
            .into_iter()
            .any(|path| match path.strip_suffix('*') {
                Some(prefix) => wanted.path.starts_with(prefix),
                None => path == wanted.path,
            });
    }
    let names = tree::items(rule, &["resourceNames"]);
    let any_parent = format!("*/{}", wanted.subresource);
    let is_resource = has(rule, "resources", &wanted.full_resource())
        || (!wanted.subresource.is_empty()
            && tree::items(rule, &["resources"])
                .iter()
                .any(|one| *one == any_parent));
    has(rule, "apiGroups", &wanted.group)
        && is_resource
        && (names.is_empty() || names.iter().any(|one| *one == wanted.name))
}

/// Refuses what the caller may not do.
///
/// # Errors
/// 403 in the API server's words.
pub fn require(store: &Store, identity: &Identity, wanted: &Attributes) -> Result<(), Failure> {
    if allowed(store, identity, wanted).is_some() {
        return Ok(());
    }
    let user = &identity.user;
    if wanted.resource.is_empty() {
        let why = format!(
            "User \"{user}\" cannot {} path \"{}\"",
            wanted.verb, wanted.path
        );
        return Err(Failure::forbidden_path(&why));
    }
    let place = if wanted.namespace.is_empty() {
        "at the cluster scope".to_owned()
    } else {
        format!("in the namespace \"{}\"", wanted.namespace)
    };
    let why = format!(
        "User \"{user}\" cannot {} resource \"{}\" in API group \"{}\" {place}",
        wanted.verb,
        wanted.full_resource(),
        wanted.group
    );
    let resource = resources::RESOURCES
        .iter()
        .find(|one| one.group == wanted.group && one.plural == wanted.resource);
    Err(match resource {
        Some(resource) => Failure::forbidden(resource, &wanted.name, &why),
        None => Failure::forbidden_path(&why),
    })
}

#[cfg(test)]
pub mod tests {
    use serde_json::json;

    use super::*;

    pub fn store() -> Store {
        let mut store = Store::default();
        for (plural, object) in [
            (
                "roles",
                json!({"metadata": {"namespace": "n", "name": "reader"}, "rules": [
                    {"verbs": ["get", "list"], "apiGroups": [""], "resources": ["configmaps"]},
                    {"verbs": ["create"], "apiGroups": [GROUP], "resources": ["roles"]}]}),
            ),
            (
                "rolebindings",
                json!({"metadata": {"namespace": "n", "name": "b"},
                    "roleRef": {"kind": "Role", "name": "reader"},
                    "subjects": [{"kind": "ServiceAccount", "name": "a", "namespace": "n"}]}),
            ),
        ] {
            let resource = resources::stored(GROUP, plural).expect("served");
            store.put(resource, object);
        }
        store
    }

    fn wants(verb: &str, namespace: &str) -> Attributes {
        Attributes {
            verb: verb.to_owned(),
            resource: "configmaps".to_owned(),
            namespace: namespace.to_owned(),
            ..Attributes::default()
        }
    }

    #[test]
    fn a_role_binding_holds_in_its_namespace_only() {
        let (store, account) = (store(), Identity::service_account("n", "a", ""));
        assert_eq!(
            allowed(&store, &account, &wants("get", "n")).as_deref(),
            Some(
                "RBAC: allowed by RoleBinding \"b/n\" of Role \"reader\" to ServiceAccount \"a/n\""
            )
        );
        assert_eq!(allowed(&store, &account, &wants("get", "m")), None);
        assert_eq!(allowed(&store, &account, &wants("get", "")), None);
        assert_eq!(allowed(&store, &account, &wants("delete", "n")), None);
    }

    #[test]
    fn the_refusal_names_user_verb_and_place() {
        let stranger = Identity::impersonated("bob", "", Vec::new());
        let failure = require(&store(), &stranger, &wants("list", "n")).expect_err("refused");
        assert_eq!(
            failure.message,
            "configmaps is forbidden: User \"bob\" cannot list resource \"configmaps\" in API \
             group \"\" in the namespace \"n\""
        );
    }
}
