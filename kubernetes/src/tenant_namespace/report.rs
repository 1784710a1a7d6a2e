//! What provisioning did: step by step while it runs, and as a whole at its end.

use std::fmt;

use serde::Serialize;

/// How far provisioning is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Objects dealt with so far, 0 to `total`.
    pub done: usize,
    /// Objects to deal with in this run.
    pub total: usize,
    /// What was done last, in a few words.
    pub message: String,
}

/// What became of one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It was not there.
    Created,
    /// It was there and is different now.
    Changed,
    /// It was as it should be.
    Unchanged,
    /// It was there, and the tenant's plan or the cluster's options no longer ask for it.
    Removed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Created => "created",
            Self::Changed => "changed",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
        })
    }
}

/// One object and what became of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ObjectReport {
    /// Kind of the object, such as `NetworkPolicy`.
    pub kind: String,
    /// Name of the object.
    pub name: String,
    /// What became of it.
    pub outcome: Outcome,
}

/// What one run of provisioning did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProvisionReport {
    /// The tenant's namespace, which is active.
    pub namespace: String,
    /// `sha256:` and 64 hexadecimal digits over everything that the namespace should hold. Equal
    /// for two runs that wanted the same.
    pub desired_hash: String,
    /// How many objects were created, changed or removed.
    pub changed: usize,
    /// Every object in the order it was applied. An object that was already absent as it should
    /// be is not listed.
    pub objects: Vec<ObjectReport>,
}

impl ProvisionReport {
    pub(super) fn new(namespace: String, desired_hash: String, objects: Vec<ObjectReport>) -> Self {
        let changed = objects
            .iter()
            .filter(|object| object.outcome != Outcome::Unchanged)
            .count();
        Self {
            namespace,
            desired_hash,
            changed,
            objects,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_what_is_different_now() {
        let object = |name: &str, outcome| ObjectReport {
            kind: "NetworkPolicy".to_owned(),
            name: name.to_owned(),
            outcome,
        };
        let objects = vec![
            object("a", Outcome::Created),
            object("b", Outcome::Unchanged),
            object("c", Outcome::Changed),
            object("d", Outcome::Removed),
        ];
        let report = ProvisionReport::new("tenant-a".into(), "sha256:00".into(), objects);
        assert_eq!(report.changed, 3);
        insta::assert_json_snapshot!(report.objects.first(), @r#"
        {
          "kind": "NetworkPolicy",
          "name": "a",
          "outcome": "created"
        }
        "#);
    }
}
