//! Failures as the API server says them: a `Status` object with code, reason, message and details.

use serde_json::{Map, Value, json};

use crate::resources::Resource;

/// One reason among several inside a `Status`, for example one wrong field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cause {
    /// The machine-readable kind of the cause, for example `FieldValueInvalid`.
    pub reason: &'static str,
    /// What is wrong, for people.
    pub message: String,
    /// The path of the field; empty when the whole object is meant.
    pub field: String,
}

impl Cause {
    /// A field has a value that is not allowed.
    pub fn invalid(field: impl Into<String>, value: &Value, message: &str) -> Self {
        let message = format!("Invalid value: {value}: {message}");
        Self {
            reason: "FieldValueInvalid",
            message,
            field: field.into(),
        }
    }

    /// A field must be present.
    pub fn required(field: impl Into<String>, message: &str) -> Self {
        let message = joined("Required value", message);
        Self {
            reason: "FieldValueRequired",
            message,
            field: field.into(),
        }
    }

    /// A field must not be set, or not be changed in this way.
    pub fn forbidden(field: impl Into<String>, message: &str) -> Self {
        let message = joined("Forbidden", message);
        Self {
            reason: "FieldValueForbidden",
            message,
            field: field.into(),
        }
    }

    /// A field has a value outside its closed set.
    pub fn not_supported(field: impl Into<String>, value: &Value, allowed: &[&str]) -> Self {
        let allowed = allowed
            .iter()
            .map(|name| format!("\"{name}\""))
            .collect::<Vec<_>>()
            .join(", ");
        let message = format!("Unsupported value: {value}: supported values: {allowed}");
        Self {
            reason: "FieldValueNotSupported",
            message,
            field: field.into(),
        }
    }

    /// The request meets an object whose state forbids it.
    pub fn plain(reason: &'static str, message: String, field: &str) -> Self {
        Self {
            reason,
            message,
            field: field.to_owned(),
        }
    }

    fn to_json(&self) -> Value {
        let mut cause = json!({"reason": self.reason, "message": self.message});
        if let (false, Some(map)) = (self.field.is_empty(), cause.as_object_mut()) {
            map.insert("field".to_owned(), json!(self.field));
        }
        cause
    }
}

fn joined(head: &str, tail: &str) -> String {
    if tail.is_empty() {
        head.to_owned()
    } else {
        format!("{head}: {tail}")
    }
}

/// A refused request: everything a client sees of it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// HTTP status code.
    pub code: u16,
    /// The `reason` of the `Status`; empty when the API server gives none.
    pub reason: &'static str,
    /// The `message` of the `Status`.
    pub message: String,
    /// The `details` of the `Status`; `Null` when there are none.
    pub details: Value,
}

impl Failure {
    fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
            details: Value::Null,
        }
    }

    fn about(mut self, resource: &Resource, name: &str) -> Self {
        self.details = details(name, resource.group, resource.plural, &[]);
        self
    }

    /// 404 for one object.
    pub fn not_found(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" not found", resource.qualified());
        Self::new(404, "NotFound", message).about(resource, name)
    }

    /// 404 for a path that no resource answers.
    pub fn no_such_path() -> Self {
        let mut failure = Self::new(
            404,
            "NotFound",
            "the server could not find the requested resource",
        );
        failure.details = json!({});
        failure
    }

    /// 409 because the name is taken.
    pub fn already_exists(resource: &Resource, name: &str) -> Self {
        let message = format!("{} \"{name}\" already exists", resource.qualified());
        Self::new(409, "AlreadyExists", message).about(resource, name)
    }

    /// 409 because the object is not in the state that the request assumed.
    pub fn conflict(resource: &Resource, name: &str, why: &str) -> Self {
        let message = format!(
            "Operation cannot be fulfilled on {} \"{name}\": {why}",
            resource.qualified()
        );
        Self::new(409, "Conflict", message).about(resource, name)
    }

    /// 409 because the object was changed since it was read.
    pub fn stale(resource: &Resource, name: &str) -> Self {
        let why = "the object has been modified; please apply your changes to the latest version \
                   and try again";
        Self::conflict(resource, name, why)
    }

    /// 409 because other field managers own fields of the applied configuration.
    pub fn apply_conflict(message: String, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(Cause::to_json).collect();
        Self {
            code: 409,
            reason: "Conflict",
            message,
            details: json!({"causes": causes}),
        }
    }

    /// 422 with one cause per wrong field.
    pub fn invalid(group: &str, kind: &str, name: &str, causes: &[Cause]) -> Self {
        let texts: Vec<String> = causes
            .iter()
            .map(|cause| {
                if cause.field.is_empty() {
                    cause.message.clone()
                } else {
                    format!("{}: {}", cause.field, cause.message)
                }
            })
            .collect();
        let all = match texts.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(", ")),
        };
        let qualified = if group.is_empty() {
            kind.to_owned()
        } else {
            format!("{kind}.{group}")
        };
        let mut failure = Self::new(
            422,
            "Invalid",
            format!("{qualified} \"{name}\" is invalid: {all}"),
        );
        failure.details = details(name, group, kind, causes);
        failure
    }

    /// 403 with the API server's prefix for one object or, with an empty name, a collection.
    pub fn forbidden(resource: &Resource, name: &str, why: &str) -> Self {
        let subject = if name.is_empty() {
            resource.qualified()
        } else {
            format!("{} \"{name}\"", resource.qualified())
        };
        Self::new(403, "Forbidden", format!("{subject} is forbidden: {why}")).about(resource, name)
    }

    /// 403 for a path that is no resource.
    pub fn forbidden_path(why: &str) -> Self {
        let mut failure = Self::new(403, "Forbidden", format!("forbidden: {why}"));
        failure.details = json!({});
        failure
    }

    /// Adds causes to the details.
    pub fn with_causes(mut self, causes: &[Cause]) -> Self {
        let causes: Vec<Value> = causes.iter().map(Cause::to_json).collect();
        crate::tree::put(&mut self.details, &["causes"], causes);
        self
    }

    /// 400.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message)
    }

    /// 401.
    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized")
    }

    /// 405.
    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        let mut failure = Self::new(405, "MethodNotAllowed", message);
        failure.details = json!({});
        failure
    }

    /// 406.
    pub fn not_acceptable(accepted: &str) -> Self {
        let message =
            format!("only the following media types are accepted: {accepted}, application/yaml");
        Self::new(406, "NotAcceptable", message)
    }

    /// 410: the revision asked for is no longer remembered.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message)
    }

    /// 413.
    pub fn too_large() -> Self {
        Self::new(
            413,
            "RequestEntityTooLarge",
            "Request entity too large: limit is 3145728",
        )
    }

    /// 415.
    pub fn unsupported_media(sent: &str, accepted: &str) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: \
             {accepted} (sent: {sent})"
        );
        Self::new(415, "UnsupportedMediaType", message)
    }

    /// 422 for a patch that cannot be carried out on this object.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, "Invalid", message)
    }

    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "InternalError", message)
    }

    /// 504: the client asks for a revision that does not exist yet.
    pub fn revision_in_the_future(asked: u64, current: u64) -> Self {
        let message = format!("Too large resource version: {asked}, current: {current}");
        let cause = Cause::plain(
            "ResourceVersionTooLarge",
            "Too large resource version".to_owned(),
            "",
        );
        let mut failure = Self::new(504, "Timeout", message);
        failure.details = json!({"causes": [cause.to_json()], "retryAfterSeconds": 1});
        failure
    }

    /// The `Status` object that the client receives.
    pub fn to_status(&self) -> Value {
        let mut status = json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "code": self.code,
        });
        if let Some(map) = status.as_object_mut() {
            if !self.reason.is_empty() {
                map.insert("reason".to_owned(), json!(self.reason));
            }
            if !self.details.is_null() {
                map.insert("details".to_owned(), self.details.clone());
            }
        }
        status
    }
}

fn details(name: &str, group: &str, kind: &str, causes: &[Cause]) -> Value {
    let mut map = Map::new();
    for (key, value) in [("name", name), ("group", group), ("kind", kind)] {
        if !value.is_empty() {
            map.insert(key.to_owned(), json!(value));
        }
    }
    if !causes.is_empty() {
        map.insert(
            "causes".to_owned(),
            causes.iter().map(Cause::to_json).collect(),
        );
    }
    Value::Object(map)
}

/// The `Status` of a finished deletion that leaves no object to show.
pub fn deleted(resource: &Resource, name: &str, uid: &str) -> Value {
    let mut about = details(name, resource.group, resource.plural, &[]);
    crate::tree::put(&mut about, &["uid"], uid);
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
           "details": about})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn a_missing_object_is_told_as_the_api_server_tells_it() {
        let resource = resources::find("apps", "v1", "deployments").expect("served");
        let status = Failure::not_found(resource, "web").to_status();
        assert_eq!(
            status,
            json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                   "message": "deployments.apps \"web\" not found", "reason": "NotFound",
                   "details": {"name": "web", "group": "apps", "kind": "deployments"},
                   "code": 404})
        );
    }

    #[test]
    fn several_causes_are_listed_in_brackets() {
        let causes = [
            Cause::required("spec.a", ""),
            Cause::invalid("spec.b", &json!(1), "no"),
        ];
        let failure = Failure::invalid("", "Pod", "p", &causes);
        assert_eq!(
            failure.message,
            "Pod \"p\" is invalid: [spec.a: Required value, spec.b: Invalid value: 1: no]"
        );
    }
}
