//! What was done.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Action;

/// How it ended.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AuditResult {
    /// It was done.
    Succeeded,
    /// It was refused.
    Denied,
}

impl AuditResult {
    /// The result as the API and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Denied => "denied",
        }
    }
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditedObject {
    /// Its type, a noun in the singular: `job`, `tenant`.
    pub kind: &'static str,
    /// Its id; absent where there are several, or none.
    pub id: Option<String>,
}

impl AuditedObject {
    /// One thing.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "most ids are copied, and read better without a `&`"
    )]
    pub fn one(kind: &'static str, id: impl ToString) -> Self {
        Self {
            kind,
            id: Some(id.to_string()),
        }
    }

    /// Several things of a type; the detail says which.
    #[must_use]
    pub const fn several(kind: &'static str) -> Self {
        Self { kind, id: None }
    }
}

/// Something that somebody did, or was refused.
#[derive(Debug, Clone)]
pub struct Deed {
    /// What.
    pub action: Action,
    /// To what.
    pub object: AuditedObject,
    /// How it ended.
    pub result: AuditResult,
    /// What else a reader wants to know: no secrets, and whole numbers only (a fraction has no one
    /// way to be written, so its hash could not be checked).
    pub detail: Map<String, Value>,
}

impl Deed {
    /// Something that was done. `detail` is an object; anything else counts as none.
    #[must_use]
    pub fn done(action: Action, object: AuditedObject, detail: Value) -> Self {
        let detail = match detail {
            Value::Object(fields) => fields,
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::String(_)
            | Value::Array(_) => Map::new(),
        };
        Self {
            action,
            object,
            result: AuditResult::Succeeded,
            detail,
        }
    }

    /// The same, refused.
    #[must_use]
    pub fn denied(self) -> Self {
        Self {
            result: AuditResult::Denied,
            ..self
        }
    }
}
