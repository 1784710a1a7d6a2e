//! Sets of field paths in the form of `fieldsV1`, with the set operations that ownership needs.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::{Map, Value};

/// A set of paths, as a tree: each step is written as in `fieldsV1` (`f:spec`, `k:{"name":"a"}`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSet {
    owned: bool,
    children: BTreeMap<String, FieldSet>,
}

/// The step to a named field.
pub fn field(name: &str) -> String {
    format!("f:{name}")
}

impl FieldSet {
    /// Reads `fieldsV1`; what is no path is ignored.
    pub fn from_json(value: &Value) -> Self {
        let mut set = Self::default();
        for (step, below) in value.as_object().into_iter().flatten() {
            if step == "." {
                set.owned = true;
                continue;
            }
            let mut child = Self::from_json(below);
            child.owned |= below.as_object().is_none_or(Map::is_empty);
            set.children.insert(step.clone(), child);
        }
        set
    }

    /// Writes `fieldsV1`.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (step, child) in &self.children {
            map.insert(step.clone(), child.to_json());
        }
        if self.owned && !self.children.is_empty() {
            map.insert(".".to_owned(), Value::Object(Map::new()));
        }
        Value::Object(map)
    }

    /// Whether no path is in the set.
    pub fn is_empty(&self) -> bool {
        !self.owned && self.children.values().all(Self::is_empty)
    }

    /// Whether the path to this node itself is in the set.
    pub fn is_owned(&self) -> bool {
        self.owned
    }

    /// What is below one step.
    pub fn child(&self, step: &str) -> Option<&Self> {
        self.children.get(step)
    }

    /// Adds a path.
    pub fn insert(&mut self, path: &[String]) {
        match path {
            [] => self.owned = true,
            [step, rest @ ..] => {
                self.children.entry(step.clone()).or_default().insert(rest);
            }
        }
    }

    /// Removes everything below a path, and the path.
    pub fn remove_below(&mut self, path: &[&str]) {
        match path {
            [] => *self = Self::default(),
            [step, rest @ ..] => {
                if let Some(child) = self.children.get_mut(*step) {
                    child.remove_below(rest);
                    if child.is_empty() {
                        self.children.remove(*step);
                    }
                }
            }
        }
    }

    /// Paths in either set.
    pub fn union(&self, other: &Self) -> Self {
        let mut all = self.clone();
        all.owned |= other.owned;
        for (step, child) in &other.children {
            let here = all.children.entry(step.clone()).or_default();
            *here = here.union(child);
        }
        all
    }

    /// Paths of this set that are not in `other`.
    pub fn minus(&self, other: &Self) -> Self {
        let mut left = Self {
            owned: self.owned && !other.owned,
            children: BTreeMap::new(),
        };
        for (step, child) in &self.children {
            let rest = match other.children.get(step) {
                Some(out) => child.minus(out),
                None => child.clone(),
            };
            if !rest.is_empty() {
                left.children.insert(step.clone(), rest);
            }
        }
        left
    }

    /// This set without the paths that are at or below a path of `other`.
    pub fn minus_below(&self, other: &Self) -> Self {
        if other.owned {
            return Self::default();
        }
        let mut left = Self {
            owned: self.owned,
            children: BTreeMap::new(),
        };
        for (step, child) in &self.children {
            let rest = match other.children.get(step) {
                Some(out) => child.minus_below(out),
                None => child.clone(),
            };
            if !rest.is_empty() {
                left.children.insert(step.clone(), rest);
            }
        }
        left
    }

    /// Paths in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut both = Self {
            owned: self.owned && other.owned,
            children: BTreeMap::new(),
        };
        for (step, child) in &self.children {
            if let Some(rest) = other.children.get(step).map(|out| child.intersection(out))
                && !rest.is_empty()
            {
                both.children.insert(step.clone(), rest);
            }
        }
        both
    }

    /// Every path as people read it, for example `.spec.containers[name="web"].image`.
    pub fn paths(&self) -> Vec<String> {
        let mut all = Vec::new();
        self.collect(String::new(), &mut all);
        all
    }

    fn collect(&self, path: String, all: &mut Vec<String>) {
        for (step, child) in &self.children {
            child.collect(format!("{path}{}", readable(step)), all);
        }
        if self.owned {
            all.push(path);
        }
    }
}

fn readable(step: &str) -> String {
    match step.split_once(':') {
        Some(("f", name)) => format!(".{name}"),
        Some(("v", value)) => format!("[={value}]"),
        Some(("k", key)) => {
            let mut text = String::from("[");
            let key: Value = serde_json::from_str(key).unwrap_or_default();
            for (index, (name, value)) in key.as_object().into_iter().flatten().enumerate() {
                let comma = if index == 0 { "" } else { "," };
                let _ = write!(text, "{comma}{name}={value}");
            }
            text + "]"
        }
        Some((_, index)) => format!("[{index}]"),
        None => step.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn reading_and_writing_keep_the_set() {
        let fields = json!({"f:spec": {"f:replicas": {}, "f:labels": {".": {}, "f:a": {}}}});
        assert_eq!(FieldSet::from_json(&fields).to_json(), fields);
    }

    #[test]
    fn paths_read_like_the_api_server_writes_them() {
        let fields = json!({"f:spec": {"f:ports": {"k:{\"port\":80,\"protocol\":\"TCP\"}":
            {"f:name": {}}}}, "f:finalizers": {"v:\"a/b\"": {}}});
        assert_eq!(
            FieldSet::from_json(&fields).paths(),
            [
                ".finalizers[=\"a/b\"]",
                ".spec.ports[port=80,protocol=\"TCP\"].name"
            ]
        );
    }

    fn sets() -> impl Strategy<Value = FieldSet> {
        prop::collection::vec(prop::collection::vec("[abc]", 1..4), 0..8).prop_map(|paths| {
            let mut set = FieldSet::default();
            for path in paths {
                set.insert(&path.iter().map(|step| field(step)).collect::<Vec<_>>());
            }
            set
        })
    }

    proptest! {
        #[test]
        fn removing_what_was_added_leaves_what_was_there(a in sets(), b in sets()) {
            prop_assert_eq!(a.union(&b).minus(&b), a.minus(&b));
            prop_assert_eq!(a.minus(&b).union(&a.intersection(&b)), a);
        }

        #[test]
        fn every_set_survives_the_wire(a in sets()) {
            prop_assert_eq!(FieldSet::from_json(&a.to_json()), a);
        }
    }
}
