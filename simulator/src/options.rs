//! The options of a write: dry run, field manager, validation, force.

use serde_json::Value;

use crate::decode::{self, Findings};
use crate::managed_fields::Writer;
use crate::metadata::Environment;
use crate::request::Request;
use crate::resources::Resource;
use crate::route::Target;
use crate::status::{Cause, Failure};
use crate::{tree, write};

/// Longest field manager.
const MANAGER_BYTES: usize = 128;

/// What happens to fields that a kind does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped without a word.
    Ignore,
    /// They are dropped with a warning.
    Warn,
    /// The request is refused.
    Strict,
}

/// The options of a write.
#[derive(Debug)]
pub struct WriteOptions {
    /// Everything happens but the storing.
    pub dry_run: bool,
    /// Take fields over from other managers.
    pub force: bool,
    /// Unknown fields.
    pub validation: FieldValidation,
    /// The field manager that the client names; empty when it does not.
    pub manager: String,
}

impl WriteOptions {
    /// Reads the options of a request.
    ///
    /// # Errors
    /// 422 for a value outside its set.
    pub fn parse(request: &Request) -> Result<Self, Failure> {
        let query = &request.query;
        let refuse = |cause| Failure::invalid("meta.k8s.io", "WriteOptions", "", &[cause]);
        let dry_run = query.all("dryRun").find(|value| !value.is_empty());
        if let Some(other) = dry_run.filter(|value| *value != "All") {
            return Err(refuse(Cause::not_supported(
                "dryRun",
                &other.into(),
                &["All"],
            )));
        }
        let validation = match query.get("fieldValidation") {
            "" | "Warn" => FieldValidation::Warn,
            "Ignore" => FieldValidation::Ignore,
            "Strict" => FieldValidation::Strict,
            other => {
                let allowed = ["Ignore", "Strict", "Warn"];
                let cause = Cause::not_supported("fieldValidation", &other.into(), &allowed);
                return Err(refuse(cause));
            }
        };
        let manager = query.get("fieldManager");
        if manager.len() > MANAGER_BYTES {
            let why = "may not be more than 128 bytes";
            return Err(refuse(Cause::invalid("fieldManager", &manager.into(), why)));
        }
        Ok(Self {
            dry_run: dry_run.is_some(),
            force: query.is_set("force"),
            validation,
            manager: manager.to_owned(),
        })
    }

    /// How a write through this target is recorded. Without a field manager the client's program
    /// is the manager.
    pub fn writer(&self, request: &Request, target: &Target, environment: &Environment) -> Writer {
        let program = request
            .header("user-agent")
            .split('/')
            .next()
            .unwrap_or_default();
        let manager = match (self.manager.as_str(), program) {
            ("", "") => "unknown",
            ("", program) => program,
            (manager, _) => manager,
        };
        Writer {
            manager: manager.to_owned(),
            api_version: target.resource.api_version(),
            subresource: target.subresource.clone(),
            time: environment.timestamp(),
        }
    }
}

/// An object as a client sent it, checked against its kind, with the warnings it earned.
#[derive(Debug)]
pub struct Decoded {
    /// The object with kind and API version.
    pub object: Value,
    /// Paths of the fields that were dropped because the kind does not have them.
    pub unknown: Vec<String>,
    /// Warnings for the response.
    pub warnings: Vec<String>,
}

/// Checks that a body is an object of this resource and has only its fields.
///
/// # Errors
/// 400 for another kind, a value of a wrong type, or with [`FieldValidation::Strict`] an unknown
/// field.
pub fn decode_object(
    resource: &Resource,
    mut object: Value,
    validation: FieldValidation,
) -> Result<Decoded, Failure> {
    check_type(resource, &object)?;
    tree::put(&mut object, &["apiVersion"], resource.api_version());
    tree::put(&mut object, &["kind"], resource.kind);
    let (kind, version) = (resource.kind, resource.version);
    let prefix = format!("{kind} in version \"{version}\" cannot be handled as a {kind}");
    let Findings { unknown, mistyped } = decode::decode(&write::shape_of(resource), &mut object);
    if let Some(found) = mistyped {
        return Err(Failure::bad_request(format!(
            "{prefix}: json: cannot unmarshal {} into Go struct field {} of type {}",
            found.found, found.path, found.expected
        )));
    }
    let warnings: Vec<String> = unknown
        .iter()
        .map(|path| format!("unknown field \"{path}\""))
        .collect();
    match validation {
        FieldValidation::Strict if !warnings.is_empty() => Err(Failure::bad_request(format!(
            "{prefix}: strict decoding error: {}",
            warnings.join(", ")
        ))),
        FieldValidation::Strict | FieldValidation::Warn => Ok(Decoded {
            object,
            unknown,
            warnings,
        }),
        FieldValidation::Ignore => Ok(Decoded {
            object,
            unknown,
            warnings: Vec::new(),
        }),
    }
}

fn check_type(resource: &Resource, object: &Value) -> Result<(), Failure> {
    if !object.is_object() {
        return Err(Failure::bad_request("the body of the request is no object"));
    }
    let (sent, expected) = (tree::text(object, &["apiVersion"]), resource.api_version());
    if !sent.is_empty() && sent != expected {
        return Err(Failure::bad_request(format!(
            "the API version in the data ({sent}) does not match the expected API version \
             ({expected})"
        )));
    }
    let kind = tree::text(object, &["kind"]);
    if !kind.is_empty() && kind != resource.kind {
        let expected = resource.kind;
        return Err(Failure::bad_request(format!(
            "{kind} in version \"{}\" cannot be handled as a {expected}: the kind in the data \
             ({kind}) does not match the expected kind ({expected})",
            resource.version
        )));
    }
    Ok(())
}

/// Checks name and namespace of an object against the path, and fills in the namespace.
///
/// # Errors
/// 400 when they differ, or when the path names an object and the object has no name.
pub fn check_place(target: &Target, object: &mut Value) -> Result<(), Failure> {
    let sent = tree::text(object, &["metadata", "namespace"]);
    if target.resource.namespaced && !sent.is_empty() && sent != target.namespace {
        return Err(Failure::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the \
             request (object: {sent}, request: {})",
            target.namespace
        )));
    }
    if !target.resource.namespaced {
        tree::take(object, &["metadata", "namespace"]);
    } else if !target.namespace.is_empty() {
        tree::put(
            object,
            &["metadata", "namespace"],
            target.namespace.as_str(),
        );
    }
    let name = tree::text(object, &["metadata", "name"]);
    if !target.name.is_empty() && name.is_empty() {
        return Err(Failure::bad_request(format!(
            "the name of the object ({} based on URL) was undeterminable: name must be provided",
            target.name
        )));
    }
    if !target.name.is_empty() && name != target.name {
        return Err(Failure::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources;

    #[test]
    fn unknown_fields_are_refused_warned_about_or_ignored() {
        let resource = resources::find("", "v1", "configmaps").expect("served");
        let body = json!({"data": {}, "dada": {}});
        let decoded = |validation| decode_object(resource, body.clone(), validation);
        assert_eq!(
            decoded(FieldValidation::Strict)
                .expect_err("refused")
                .message,
            "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding \
             error: unknown field \"dada\""
        );
        let warned = decoded(FieldValidation::Warn).expect("accepted");
        assert_eq!(warned.warnings, ["unknown field \"dada\""]);
        assert!(warned.object.get("dada").is_none());
    }

    #[test]
    fn another_kind_or_version_is_refused() {
        let resource = resources::find("apps", "v1", "deployments").expect("served");
        for body in [
            json!({"kind": "Pod"}),
            json!({"apiVersion": "v1"}),
            json!([]),
        ] {
            assert!(decode_object(resource, body, FieldValidation::Warn).is_err());
        }
    }
}
