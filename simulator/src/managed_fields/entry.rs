//! One entry of `managedFields`: a manager, how it writes, and what it owns.

use serde_json::{Map, Value, json};

use super::set::FieldSet;
use crate::tree;

/// How a manager writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// It declares its fields.
    Apply,
    /// It changes what it likes.
    Update,
}

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

/// Who writes, through which door, and when.
#[derive(Debug, Clone)]
pub struct Writer {
    /// Field manager.
    pub manager: String,
    /// `group/version` of the request.
    pub api_version: String,
    /// Subresource of the request; empty for the object itself.
    pub subresource: String,
    /// RFC 3339 second.
    pub time: String,
}

/// One manager's share of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Field manager.
    pub manager: String,
    /// How it writes.
    pub operation: Operation,
    /// `group/version` of its last write.
    pub api_version: String,
    /// When it last changed something, RFC 3339.
    pub time: String,
    /// The subresource that it writes through; empty for the object itself.
    pub subresource: String,
    /// What it owns.
    pub fields: FieldSet,
}

impl Entry {
    /// The share of a new manager.
    pub fn new(writer: &Writer, operation: Operation, fields: FieldSet) -> Self {
        Self {
            manager: writer.manager.clone(),
            operation,
            api_version: writer.api_version.clone(),
            time: writer.time.clone(),
            subresource: writer.subresource.clone(),
            fields,
        }
    }

    /// Whether this is the share of `writer` when it writes in this way.
    pub fn belongs_to(&self, writer: &Writer, operation: Operation) -> bool {
        self.manager == writer.manager
            && self.operation == operation
            && self.subresource == writer.subresource
            && (operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn from_json(value: &Value) -> Option<Self> {
        let operation = match tree::text(value, &["operation"]) {
            "Apply" => Operation::Apply,
            "Update" => Operation::Update,
            _ => return None,
        };
        Some(Self {
            manager: tree::text(value, &["manager"]).to_owned(),
            operation,
            api_version: tree::text(value, &["apiVersion"]).to_owned(),
            time: tree::text(value, &["time"]).to_owned(),
            subresource: tree::text(value, &["subresource"]).to_owned(),
            fields: FieldSet::from_json(value.get("fieldsV1").unwrap_or(&Value::Null)),
        })
    }

    fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (key, value) in [
            ("manager", self.manager.as_str()),
            ("operation", self.operation.name()),
            ("apiVersion", &self.api_version),
            ("time", &self.time),
            ("subresource", &self.subresource),
        ] {
            if !value.is_empty() {
                map.insert(key.to_owned(), json!(value));
            }
        }
        map.insert("fieldsType".to_owned(), json!("FieldsV1"));
        map.insert("fieldsV1".to_owned(), self.fields.to_json());
        Value::Object(map)
    }

    /// The manager as a conflict names it.
    pub fn described(&self) -> String {
        let mut text = format!("\"{}\"", self.manager);
        if !self.subresource.is_empty() {
            text = format!("{text} with subresource \"{}\"", self.subresource);
        }
        match self.operation {
            Operation::Apply => text,
            Operation::Update => format!("{text} using {}", self.api_version),
        }
    }
}

/// The shares in an object.
pub fn read(object: &Value) -> Vec<Entry> {
    tree::items(object, &["metadata", "managedFields"])
        .iter()
        .filter_map(Entry::from_json)
        .collect()
}

/// Puts shares into an object, in the order of the API server; empty ones are left out.
pub fn write(object: &mut Value, mut entries: Vec<Entry>) {
    entries.retain(|entry| !entry.fields.is_empty());
    entries.sort_by(|a, b| {
        (a.operation, &a.time, &a.manager, &a.subresource).cmp(&(
            b.operation,
            &b.time,
            &b.manager,
            &b.subresource,
        ))
    });
    if entries.is_empty() {
        tree::take(object, &["metadata", "managedFields"]);
    } else {
        let list: Vec<Value> = entries.iter().map(Entry::to_json).collect();
        tree::put(object, &["metadata", "managedFields"], list);
    }
}
