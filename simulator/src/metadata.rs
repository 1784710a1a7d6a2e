//! The metadata that the server fills in at birth and keeps through every change.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::resources::Resource;
use crate::status::{Cause, Failure};
use crate::tree;

/// Where time and randomness come from.
#[derive(Debug, Clone, Copy)]
pub struct Environment {
    /// The present instant.
    pub now: fn() -> DateTime<Utc>,
    /// A fresh random id.
    pub uid: fn() -> Uuid,
}

impl Default for Environment {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the clock; everything else is handed an environment"
    )]
    fn default() -> Self {
        Self {
            now: Utc::now,
            uid: Uuid::new_v4,
        }
    }
}

impl Environment {
    /// The present as objects carry it: RFC 3339 to the second.
    pub fn timestamp(&self) -> String {
        (self.now)().to_rfc3339_opts(SecondsFormat::Secs, true)
    }
}

/// Characters of generated names, without those that spell words or look alike.
const SUFFIX_CHARACTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// Longest prefix that leaves room for the suffix.
const GENERATED_PREFIX_BYTES: usize = 58;

/// Metadata that a client cannot give at creation.
const SET_AT_BIRTH: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];
/// Metadata that stays what it was at creation.
const KEPT: &[&str] = &[
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "generateName",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "namespace",
    "name",
];

/// Fills in the metadata of a new object.
pub fn born(resource: &Resource, object: &mut Value, namespace: &str, environment: &Environment) {
    let metadata = tree::map_mut(object, &["metadata"]);
    for name in SET_AT_BIRTH {
        metadata.remove(*name);
    }
    if !namespace.is_empty() {
        metadata.insert("namespace".to_owned(), json!(namespace));
    }
    metadata.insert("uid".to_owned(), json!((environment.uid)().to_string()));
    metadata.insert(
        "creationTimestamp".to_owned(),
        json!(environment.timestamp()),
    );
    if resource.generation {
        metadata.insert("generation".to_owned(), json!(1));
    }
    if tree::text(object, &["metadata", "name"]).is_empty() {
        let prefix: String = tree::text(object, &["metadata", "generateName"])
            .chars()
            .take(GENERATED_PREFIX_BYTES)
            .collect();
        if !prefix.is_empty() {
            let name = format!("{prefix}{}", suffix((environment.uid)()));
            tree::put(object, &["metadata", "name"], name);
        }
    }
}

fn suffix(random: Uuid) -> String {
    random
        .as_bytes()
        .iter()
        .take(5)
        .filter_map(|byte| SUFFIX_CHARACTERS.get(usize::from(*byte) % SUFFIX_CHARACTERS.len()))
        .map(|byte| char::from(*byte))
        .collect()
}

/// Refuses a change that assumes another object or an older state of it.
///
/// # Errors
/// 409 when the sent uid or resource version is not that of `live`.
pub fn check_assumptions(resource: &Resource, live: &Value, sent: &Value) -> Result<(), Failure> {
    let name = tree::text(live, &["metadata", "name"]);
    let differs = |field: &str| {
        let assumed = tree::text(sent, &["metadata", field]);
        let is_wrong = !assumed.is_empty() && assumed != tree::text(live, &["metadata", field]);
        is_wrong.then(|| assumed.to_owned())
    };
    if let Some(uid) = differs("uid") {
        let why = format!(
            "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
            tree::text(live, &["metadata", "uid"])
        );
        return Err(Failure::conflict(resource, name, &why));
    }
    match differs("resourceVersion") {
        Some(_) => Err(Failure::stale(resource, name)),
        None => Ok(()),
    }
}

/// Carries over what a client cannot change.
pub fn keep(live: &Value, object: &mut Value) {
    for name in KEPT {
        tree::carry(live, object, &["metadata", name]);
    }
    tree::take(object, &["metadata", "selfLink"]);
}

/// Refuses finalizers that come only after the deletion was asked for.
pub fn added_finalizers(live: &Value, object: &Value) -> Option<Cause> {
    tree::at(live, &["metadata", "deletionTimestamp"])?;
    let before = tree::texts(live, &["metadata", "finalizers"]);
    let added: Vec<&str> = tree::texts(object, &["metadata", "finalizers"])
        .into_iter()
        .filter(|one| !before.contains(one))
        .collect();
    let why = format!(
        "no new finalizers can be added if the object is being deleted, found new finalizers {}",
        json!(added)
    );
    (!added.is_empty()).then(|| Cause::forbidden("metadata.finalizers", &why))
}

/// Whether nothing but the end of its finalizers keeps the object.
pub fn is_ready_to_go(object: &Value) -> bool {
    tree::at(object, &["metadata", "deletionTimestamp"]).is_some()
        && tree::items(object, &["metadata", "finalizers"]).is_empty()
        && (!is_namespace(object) || tree::items(object, &["spec", "finalizers"]).is_empty())
}

fn is_namespace(object: &Value) -> bool {
    tree::text(object, &["kind"]) == "Namespace" && tree::text(object, &["apiVersion"]) == "v1"
}

/// Counts a change of the desired state: everything but metadata and status.
pub fn advance_generation(resource: &Resource, live: &Value, object: &mut Value) {
    let desired = |value: &Value| {
        let mut value = value.clone();
        tree::take(&mut value, &["metadata"]);
        tree::take(&mut value, &["status"]);
        value
    };
    if resource.generation && desired(live) != desired(object) {
        bump_generation(object);
    }
}

/// Counts one change.
pub fn bump_generation(object: &mut Value) {
    let now = tree::number(object, &["metadata", "generation"]).unwrap_or_default();
    tree::put(object, &["metadata", "generation"], now + 1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn a_generated_name_has_a_random_suffix() {
        let resource = resources::find("", "v1", "pods").expect("served");
        let mut object = json!({"metadata": {"generateName": "web-", "uid": "mine"}});
        born(resource, &mut object, "n", &Environment::default());
        let name = tree::text(&object, &["metadata", "name"]);
        assert!(name.starts_with("web-") && name.len() == 9, "{name}");
        assert_ne!(tree::text(&object, &["metadata", "uid"]), "mine");
    }

    #[test]
    fn only_the_desired_state_counts_as_a_generation() {
        let resource = resources::find("apps", "v1", "deployments").expect("served");
        let live = json!({"metadata": {"generation": 1}, "spec": {"replicas": 1}});
        let mut labelled = live.clone();
        tree::put(&mut labelled, &["metadata", "labels", "a"], "b");
        tree::put(&mut labelled, &["status", "replicas"], 1);
        advance_generation(resource, &live, &mut labelled);
        assert_eq!(
            tree::number(&labelled, &["metadata", "generation"]),
            Some(1)
        );
        tree::put(&mut labelled, &["spec", "replicas"], 2);
        advance_generation(resource, &live, &mut labelled);
        assert_eq!(
            tree::number(&labelled, &["metadata", "generation"]),
            Some(2)
        );
    }
}
