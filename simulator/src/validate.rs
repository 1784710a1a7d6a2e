//! What every object must satisfy whatever its kind: names, labels, annotations, metadata.

use serde_json::{Value, json};

use crate::resources::Resource;
use crate::status::Cause;
use crate::tree;

const SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
    characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
    'example.com', regex used for validation is \
    '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric \
    characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  \
    or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const DNS_1035: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or \
    '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
    'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const QUALIFIED: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and \
    must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or \
    '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric \
    characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. \
    'MyValue',  or 'my_value',  or '12345', regex used for validation is \
    '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";

/// All annotations of one object together, keys and values.
const ANNOTATIONS_LIMIT_BYTES: usize = 256 * 1024;

/// Whether `text` is an RFC 1123 label: at most 63 of `a-z0-9-`, alphanumeric at both ends.
pub fn is_dns_label(text: &str) -> bool {
    text.len() <= 63 && is_word(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), "-")
}

/// Whether `text` is an RFC 1123 subdomain: labels joined by dots, at most 253 characters.
pub fn is_dns_subdomain(text: &str) -> bool {
    let is_label = |part| is_word(part, |c| c.is_ascii_lowercase() || c.is_ascii_digit(), "-");
    text.len() <= 253 && text.split('.').all(is_label)
}

fn is_word(text: &str, is_end: impl Fn(char) -> bool, inner: &str) -> bool {
    text.starts_with(&is_end)
        && text.ends_with(&is_end)
        && text.chars().all(|c| is_end(c) || inner.contains(c))
}

/// Whether `text` may be the key of a label or annotation.
pub fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_dns_subdomain)
        && name.len() <= 63
        && is_word(name, |c| c.is_ascii_alphanumeric(), "-_.")
}

/// Whether `text` may be the value of a label.
pub fn is_label_value(text: &str) -> bool {
    text.is_empty() || (text.len() <= 63 && is_word(text, |c| c.is_ascii_alphanumeric(), "-_."))
}

/// What is wrong with the metadata of an object of this resource.
pub fn metadata(resource: &Resource, object: &Value) -> Vec<Cause> {
    let mut causes = Vec::new();
    let name = tree::text(object, &["metadata", "name"]);
    if let Some(why) = wrong_name(resource, name) {
        causes.push(Cause::invalid("metadata.name", &json!(name), &why));
    }
    labels(object, &mut causes);
    annotations(object, &mut causes);
    for (index, one) in tree::texts(object, &["metadata", "finalizers"])
        .iter()
        .enumerate()
    {
        if !is_qualified_name(one) {
            let field = format!("metadata.finalizers[{index}]");
            causes.push(Cause::invalid(field, &json!(one), QUALIFIED));
        } else if !one.contains('/')
            && !["orphan", "foregroundDeletion", "kubernetes"].contains(one)
        {
            let field = format!("metadata.finalizers[{index}]");
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            causes.push(Cause::invalid(field, &json!(one), why));
        }
    }
    causes
}

fn wrong_name(resource: &Resource, name: &str) -> Option<String> {
    match (resource.group, resource.plural) {
        ("", "namespaces") => dns_label(name, LABEL),
        ("", "services") => dns_label(name, DNS_1035).or_else(|| {
            name.starts_with(|c: char| c.is_ascii_digit())
                .then(|| DNS_1035.to_owned())
        }),
        ("rbac.authorization.k8s.io", _) => path_segment(name),
        _ if name.len() > 253 => Some("must be no more than 253 bytes".to_owned()),
        _ => (!is_dns_subdomain(name)).then(|| SUBDOMAIN.to_owned()),
    }
}

fn dns_label(name: &str, rule: &str) -> Option<String> {
    if name.len() > 63 {
        return Some("must be no more than 63 bytes".to_owned());
    }
    (!is_dns_label(name)).then(|| rule.to_owned())
}

fn path_segment(name: &str) -> Option<String> {
    match name {
        "." | ".." => Some(format!("may not be '{name}'")),
        _ => ["/", "%"]
            .iter()
            .find(|part| name.contains(**part))
            .map(|part| format!("may not contain '{part}'")),
    }
}

fn labels(object: &Value, causes: &mut Vec<Cause>) {
    let labels = tree::at(object, &["metadata", "labels"]).and_then(Value::as_object);
    for (key, value) in labels.into_iter().flatten() {
        if !is_qualified_name(key) {
            causes.push(Cause::invalid("metadata.labels", &json!(key), QUALIFIED));
        }
        let text = value.as_str().unwrap_or_default();
        if text.len() > 63 {
            let why = "must be no more than 63 bytes";
            causes.push(Cause::invalid("metadata.labels", value, why));
        } else if !is_label_value(text) {
            causes.push(Cause::invalid("metadata.labels", value, LABEL_VALUE));
        }
    }
}

fn annotations(object: &Value, causes: &mut Vec<Cause>) {
    let annotations = tree::at(object, &["metadata", "annotations"]).and_then(Value::as_object);
    let mut size = 0;
    for (key, value) in annotations.into_iter().flatten() {
        if !is_qualified_name(&key.to_lowercase()) {
            causes.push(Cause::invalid(
                "metadata.annotations",
                &json!(key),
                QUALIFIED,
            ));
        }
        size += key.len() + value.as_str().map_or(0, str::len);
    }
    if size > ANNOTATIONS_LIMIT_BYTES {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {ANNOTATIONS_LIMIT_BYTES} bytes"),
            field: "metadata.annotations".to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    #[test]
    fn names_follow_the_rule_of_their_kind() {
        for (plural, group, name, is_right) in [
            ("namespaces", "", "tenant-a", true),
            ("namespaces", "", "tenant.a", false),
            ("namespaces", "", "Tenant", false),
            ("configmaps", "", "kube-root-ca.crt", true),
            ("configmaps", "", "a_b", false),
            ("services", "", "1a", false),
            (
                "roles",
                "rbac.authorization.k8s.io",
                "system:basic-user",
                true,
            ),
            ("roles", "rbac.authorization.k8s.io", "a/b", false),
        ] {
            let resource = resources::find(group, "v1", plural).expect("served");
            let found = metadata(resource, &json!({"metadata": {"name": name}}));
            assert_eq!(found.is_empty(), is_right, "{plural} {name}: {found:?}");
        }
    }

    #[test]
    fn label_keys_may_have_a_domain() {
        assert!(is_qualified_name("app.kubernetes.io/name"));
        assert!(is_qualified_name("App_x"));
        assert!(!is_qualified_name("a/b/c"));
        assert!(!is_qualified_name("-a"));
        assert!(!is_label_value("a b"));
    }
}
