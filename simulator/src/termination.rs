//! What a dying namespace says about what still keeps it: its conditions.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::resources::Resource;
use crate::tree;

/// What still keeps a namespace: per resource and per finalizer, how many objects.
#[derive(Debug, Default)]
pub struct Remaining {
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

/// One condition, before it is written: type, whether it holds, reason, message.
type Condition = (&'static str, bool, &'static str, String);

impl Remaining {
    /// Counts an object that its finalizers hold.
    pub fn add(&mut self, resource: &Resource, finalizers: &[&str]) {
        let name = format!("{}.{}", resource.plural, resource.group);
        *self.resources.entry(name).or_default() += 1;
        for one in finalizers {
            *self.finalizers.entry((*one).to_owned()).or_default() += 1;
        }
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }

    /// Writes the conditions of a namespace that is being emptied.
    pub fn describe(&self, namespace: &mut Value, now: &str) {
        let fine = |kind, reason, text: &str| (kind, false, reason, text.to_owned());
        let [content, finalizers] = self.conditions();
        for condition in [
            fine(
                "NamespaceDeletionDiscoveryFailure",
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            fine(
                "NamespaceDeletionGroupVersionParsingFailure",
                "ParsedGroupVersions",
                "All legacy kube types successfully parsed",
            ),
            fine(
                "NamespaceDeletionContentFailure",
                "ContentDeleted",
                "All content successfully deleted, may be waiting on finalization",
            ),
            content,
            finalizers,
        ] {
            set_condition(namespace, &condition, now);
        }
    }

    fn conditions(&self) -> [Condition; 2] {
        let (content, finalizers) = ("NamespaceContentRemaining", "NamespaceFinalizersRemaining");
        if self.is_empty() {
            let gone = "All content successfully removed".to_owned();
            let done = "All content-preserving finalizers finished".to_owned();
            return [
                (content, false, "ContentRemoved", gone),
                (finalizers, false, "ContentHasNoFinalizers", done),
            ];
        }
        let resources = listing(&self.resources, "has");
        let holders = listing(&self.finalizers, "in");
        let left = format!("Some resources are remaining: {resources}");
        let held = format!("Some content in the namespace has finalizers remaining: {holders}");
        [
            (content, true, "SomeResourcesRemain", left),
            (finalizers, true, "SomeFinalizersRemain", held),
        ]
    }
}

fn listing(counts: &BTreeMap<String, usize>, what: &str) -> String {
    counts
        .iter()
        .map(|(name, count)| format!("{name} {what} {count} resource instances"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn set_condition(object: &mut Value, condition: &Condition, now: &str) {
    let (kind, holds, reason, message) = condition;
    let status = if *holds { "True" } else { "False" };
    let mut conditions = tree::items(object, &["status", "conditions"]).to_vec();
    let before = conditions
        .iter()
        .position(|one| tree::text(one, &["type"]) == *kind);
    let since = before
        .and_then(|at| conditions.get(at))
        .filter(|one| tree::text(one, &["status"]) == status)
        .map_or(now, |one| tree::text(one, &["lastTransitionTime"]))
        .to_owned();
    let new = json!({"type": kind, "status": status, "reason": reason, "message": message,
        "lastTransitionTime": since});
    match before.and_then(|at| conditions.get_mut(at)) {
        Some(place) => *place = new,
        None => conditions.push(new),
    }
    tree::put(object, &["status", "conditions"], conditions);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_keeps_its_time_while_its_status_stays() {
        let mut object = json!({});
        let condition = |holds, message: &str| ("A", holds, "r", message.to_owned());
        set_condition(&mut object, &condition(true, "1"), "t1");
        set_condition(&mut object, &condition(true, "2"), "t2");
        assert_eq!(
            object["status"]["conditions"][0]["lastTransitionTime"],
            "t1"
        );
        set_condition(&mut object, &condition(false, "2"), "t3");
        assert_eq!(
            object["status"]["conditions"][0]["lastTransitionTime"],
            "t3"
        );
    }

    #[test]
    fn what_remains_is_named_and_counted() {
        let mut remaining = Remaining::default();
        let resource = crate::resources::find("", "v1", "configmaps").expect("served");
        remaining.add(resource, &["a/b"]);
        let [content, _] = remaining.conditions();
        assert_eq!(
            content.3,
            "Some resources are remaining: configmaps. has 1 resource instances"
        );
    }
}
