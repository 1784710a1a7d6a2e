//! The form that a client wants: full objects, tables for people, or metadata only.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde_json::{Map, Value, json};

use crate::answer::Page;
use crate::resources::Resource;
use crate::status::Failure;
use crate::{table, tree};

/// The form of a response.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Form {
    /// Objects as they are.
    Full,
    /// A `Table`.
    Table(RowObject),
    /// `PartialObjectMetadata`.
    Metadata,
}

/// What the rows of a table carry besides their cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowObject {
    /// The metadata.
    Metadata,
    /// The whole object.
    Full,
    /// Nothing.
    None,
}

/// Chooses the form by the `Accept` header; the first one that is known wins.
///
/// # Errors
/// 406 when the client accepts no JSON at all.
pub fn negotiate(headers: &HeaderMap, include_object: &str) -> Result<Form, Failure> {
    let accepted = headers
        .get("accept")
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    if accepted.trim().is_empty() {
        return Ok(Form::Full);
    }
    accepted
        .split(',')
        .find_map(|range| form_of(range.trim(), include_object))
        .ok_or_else(|| Failure::not_acceptable("application/json"))
}

fn form_of(range: &str, include_object: &str) -> Option<Form> {
    let mut parts = range.split(';').map(str::trim);
    let media = parts.next()?;
    if !["application/json", "application/*", "*/*"].contains(&media) {
        return None;
    }
    let parameters: Vec<(&str, &str)> = parts.filter_map(|part| part.split_once('=')).collect();
    let parameter = |name| {
        parameters
            .iter()
            .find(|(key, _)| *key == name)
            .map(|(_, v)| *v)
    };
    match (parameter("as"), parameter("v"), parameter("g")) {
        // Documents choose their own form; a `Status` has only one.
        (None | Some("APIGroupDiscoveryList"), _, _) => Some(Form::Full),
        (Some("Table"), Some("v1"), Some("meta.k8s.io")) => {
            Some(Form::Table(match include_object {
                "None" => RowObject::None,
                "Object" => RowObject::Full,
                _ => RowObject::Metadata,
            }))
        }
        (
            Some("PartialObjectMetadata" | "PartialObjectMetadataList"),
            Some("v1"),
            Some("meta.k8s.io"),
        ) => Some(Form::Metadata),
        _ => None,
    }
}

/// One object in the form; what is no stored object stays as it is.
pub fn object(
    form: &Form,
    resource: Option<&Resource>,
    object: &Arc<Value>,
    now: DateTime<Utc>,
) -> Value {
    match (form, resource) {
        (Form::Full, _) | (_, None) => Value::clone(object),
        (Form::Table(include), Some(resource)) => {
            let version = tree::text(object, &["metadata", "resourceVersion"]);
            let metadata = json!({"resourceVersion": version});
            table::render(
                resource,
                std::slice::from_ref(object),
                *include,
                &metadata,
                now,
            )
        }
        (Form::Metadata, Some(_)) => partial(object),
    }
}

/// A page of a collection in the form.
pub fn page(form: &Form, page: &Page, now: DateTime<Utc>) -> Value {
    let mut metadata = json!({"resourceVersion": page.revision.to_string()});
    if !page.next.is_empty() {
        tree::put(&mut metadata, &["continue"], page.next.as_str());
    }
    if let Some(remaining) = page.remaining {
        tree::put(&mut metadata, &["remainingItemCount"], remaining);
    }
    match form {
        Form::Full => {
            let items: Vec<Value> = page.items.iter().map(|one| without_type(one)).collect();
            json!({"kind": format!("{}List", page.resource.kind),
                   "apiVersion": page.resource.api_version(),
                   "metadata": metadata, "items": items})
        }
        Form::Table(include) => table::render(page.resource, &page.items, *include, &metadata, now),
        Form::Metadata => {
            let items: Vec<Value> = page.items.iter().map(|one| partial(one)).collect();
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1",
                   "metadata": metadata, "items": items})
        }
    }
}

/// Items of a typed list do not repeat their type.
fn without_type(object: &Value) -> Value {
    let map: Map<String, Value> = object
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(key, _)| *key != "kind" && *key != "apiVersion")
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    Value::Object(map)
}

/// The metadata of an object, as an object.
pub fn partial(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1",
           "metadata": object.get("metadata")})
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn form(accept: &'static str) -> Result<Form, Failure> {
        let mut headers = HeaderMap::new();
        headers.insert("accept", HeaderValue::from_static(accept));
        negotiate(&headers, "")
    }

    #[test]
    fn the_first_known_form_wins() {
        assert_eq!(
            form("application/json;as=Table;v=v1;g=meta.k8s.io,application/json"),
            Ok(Form::Table(RowObject::Metadata))
        );
        assert_eq!(
            form("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"),
            Ok(Form::Full)
        );
        assert_eq!(
            form("application/vnd.kubernetes.protobuf,application/json"),
            Ok(Form::Full)
        );
        assert_eq!(
            form("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"),
            Ok(Form::Metadata)
        );
        assert_eq!(
            form("application/vnd.kubernetes.protobuf")
                .expect_err("refused")
                .code,
            406
        );
    }
}
