//! Label and field selectors: which objects of a list or watch a client wants.

use serde_json::{Map, Value};

use crate::resources::Resource;
use crate::status::Failure;
use crate::tree;

#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    path: String,
    value: String,
    equal: bool,
}

/// What a client asks for; the default is everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selector {
    labels: Vec<Requirement>,
    fields: Vec<FieldRequirement>,
}

impl Selector {
    /// Reads the two selectors of a request for `resource`.
    ///
    /// # Errors
    /// 400 when one cannot be parsed or a field is not selectable for this resource.
    pub fn parse(resource: &Resource, labels: &str, fields: &str) -> Result<Self, Failure> {
        Ok(Self {
            labels: parse_labels(labels)?,
            fields: parse_fields(resource, fields)?,
        })
    }

    /// Reads a `LabelSelector` object; an empty one selects everything.
    pub fn from_object(selector: &Value) -> Self {
        let mut labels: Vec<Requirement> = tree::at(selector, &["matchLabels"])
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| {
                Some(Requirement::In(
                    key.clone(),
                    vec![value.as_str()?.to_owned()],
                ))
            })
            .collect();
        for one in tree::items(selector, &["matchExpressions"]) {
            let key = tree::text(one, &["key"]).to_owned();
            let values = tree::texts(one, &["values"])
                .into_iter()
                .map(str::to_owned)
                .collect();
            labels.push(match tree::text(one, &["operator"]) {
                "In" => Requirement::In(key, values),
                "NotIn" => Requirement::NotIn(key, values),
                "DoesNotExist" => Requirement::Absent(key),
                _ => Requirement::Exists(key),
            });
        }
        Self {
            labels,
            fields: Vec::new(),
        }
    }

    /// Whether everything is selected.
    pub fn is_everything(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    /// Whether `object` is selected.
    pub fn matches(&self, object: &Value) -> bool {
        let none = Map::new();
        let labels = tree::at(object, &["metadata", "labels"])
            .and_then(Value::as_object)
            .unwrap_or(&none);
        self.labels.iter().all(|one| one.matches(labels))
            && self.fields.iter().all(|one| one.matches(object))
    }
}

impl Requirement {
    fn matches(&self, labels: &Map<String, Value>) -> bool {
        let is_one_of = |key: &str, values: &[String]| {
            labels
                .get(key)
                .and_then(Value::as_str)
                .is_some_and(|value| values.iter().any(|one| one == value))
        };
        match self {
            Self::In(key, values) => is_one_of(key, values),
            Self::NotIn(key, values) => !is_one_of(key, values),
            Self::Exists(key) => labels.contains_key(key),
            Self::Absent(key) => !labels.contains_key(key),
        }
    }
}

impl FieldRequirement {
    fn matches(&self, object: &Value) -> bool {
        let steps: Vec<&str> = match self.path.as_str() {
            "source" => vec!["source", "component"],
            path => path.split('.').collect(),
        };
        let found = match tree::at(object, &steps) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(flag)) => flag.to_string(),
            Some(Value::Number(number)) => number.to_string(),
            Some(Value::Null | Value::Array(_) | Value::Object(_)) | None => String::new(),
        };
        let is_unset_flag = found.is_empty() && self.value == "false";
        ((found == self.value) || is_unset_flag) == self.equal
    }
}

/// Splits at commas that are not inside parentheses.
fn split_terms(text: &str) -> Vec<&str> {
    let mut depth = 0_i32;
    text.split(move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|term| !term.is_empty())
    .collect()
}

fn parse_labels(text: &str) -> Result<Vec<Requirement>, Failure> {
    split_terms(text)
        .into_iter()
        .map(|term| parse_label(term, text))
        .collect()
}

fn parse_label(term: &str, whole: &str) -> Result<Requirement, Failure> {
    let unparsable = || Failure::bad_request(format!("unable to parse requirement: {whole}"));
    let parsed = if let Some((key, values)) = split_set(term, " notin") {
        Requirement::NotIn(key, values)
    } else if let Some((key, values)) = split_set(term, " in") {
        Requirement::In(key, values)
    } else if let Some((key, value)) = term.split_once("!=") {
        Requirement::NotIn(key.trim().to_owned(), vec![value.trim().to_owned()])
    } else if let Some((key, value)) = term.split_once("==").or_else(|| term.split_once('=')) {
        Requirement::In(key.trim().to_owned(), vec![value.trim().to_owned()])
    } else if let Some(key) = term.strip_prefix('!') {
        Requirement::Absent(key.trim().to_owned())
    } else {
        Requirement::Exists(term.to_owned())
    };
    let (key, values): (&str, &[String]) = match &parsed {
        Requirement::In(key, values) | Requirement::NotIn(key, values) => (key, values),
        Requirement::Exists(key) | Requirement::Absent(key) => (key, &[]),
    };
    let is_sound = crate::validate::is_qualified_name(key)
        && values
            .iter()
            .all(|value| crate::validate::is_label_value(value));
    if is_sound {
        Ok(parsed)
    } else {
        Err(unparsable())
    }
}

fn split_set(term: &str, word: &str) -> Option<(String, Vec<String>)> {
    let (head, values) = term.split_once('(')?;
    let key = head.trim_end().strip_suffix(word)?.trim().to_owned();
    let values = values.trim_end().strip_suffix(')')?;
    Some((
        key,
        values
            .split(',')
            .map(|value| value.trim().to_owned())
            .collect(),
    ))
}

fn parse_fields(resource: &Resource, text: &str) -> Result<Vec<FieldRequirement>, Failure> {
    split_terms(text)
        .into_iter()
        .map(|term| {
            let (path, value, equal) = if let Some((path, value)) = term.split_once("!=") {
                (path, value, false)
            } else if let Some((path, value)) = term.split_once("==").or(term.split_once('=')) {
                (path, value, true)
            } else {
                return Err(Failure::bad_request(format!(
                    "invalid selector: '{text}'; can't understand '{term}'"
                )));
            };
            let is_known = ["metadata.name", "metadata.namespace"].contains(&path)
                || resource.fields.contains(&path);
            if !is_known {
                let message = format!("field label not supported: {path}");
                return Err(Failure::bad_request(message));
            }
            Ok(FieldRequirement {
                path: path.to_owned(),
                value: value.to_owned(),
                equal,
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::resources;

    fn selects(labels: &str, object: &Value) -> bool {
        let pods = resources::find("", "v1", "pods").expect("served");
        Selector::parse(pods, labels, "")
            .expect("parses")
            .matches(object)
    }

    #[test]
    fn every_label_operator_is_understood() {
        let object = json!({"metadata": {"labels": {"app": "web", "tier": "a"}}});
        for yes in [
            "app=web",
            "app==web",
            "app!=db",
            "app in (web,db)",
            "app notin (db)",
            "app",
            "!gone",
            "app=web,tier in (a, b)",
            "gone!=x",
            "",
        ] {
            assert!(selects(yes, &object), "{yes}");
        }
        for no in [
            "app=db",
            "app!=web",
            "app in (db)",
            "app notin (web)",
            "gone",
            "!app",
            "app=web,tier=b",
        ] {
            assert!(!selects(no, &object), "{no}");
        }
    }

    #[test]
    fn unknown_fields_and_broken_labels_are_refused() {
        let pods = resources::find("", "v1", "pods").expect("served");
        assert!(Selector::parse(pods, "", "spec.color=red").is_err());
        assert!(Selector::parse(pods, "a b=c", "").is_err());
        assert!(Selector::parse(pods, "", "metadata.name").is_err());
    }

    #[test]
    fn fields_select_by_value() {
        let pods = resources::find("", "v1", "pods").expect("served");
        let selector = Selector::parse(pods, "", "status.phase=Pending,metadata.name!=b");
        let object = json!({"metadata": {"name": "a"}, "status": {"phase": "Pending"}});
        assert!(selector.expect("parses").matches(&object));
    }
}
