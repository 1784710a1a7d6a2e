//! How single values read in a table.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::tree::{at, items, number, text, texts};

const NONE: &str = "<none>";
const UNSET: &str = "<unset>";

/// A text, or `<none>`.
pub fn or_none(text: &str) -> Value {
    json!(if text.is_empty() { NONE } else { text })
}

/// A text, or `<unset>`.
pub fn or_unset(text: &str) -> Value {
    json!(if text.is_empty() { UNSET } else { text })
}

/// Texts joined by commas, or `<none>`.
pub fn joined<T: AsRef<str>>(parts: &[T]) -> Value {
    or_none(
        &parts
            .iter()
            .map(AsRef::as_ref)
            .collect::<Vec<_>>()
            .join(","),
    )
}

/// A number, 0 where it is missing.
pub fn count(object: &Value, path: &[&str]) -> Value {
    json!(number(object, path).unwrap_or(0))
}

/// How many entries a map has.
pub fn size(object: &Value, path: &[&str]) -> usize {
    at(object, path)
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len)
}

/// The time since creation.
pub fn age(object: &Value, now: DateTime<Utc>) -> Value {
    since(text(object, &["metadata", "creationTimestamp"]), now)
}

/// The time since an instant, or `<unknown>`.
pub fn since(instant: &str, now: DateTime<Utc>) -> Value {
    match DateTime::parse_from_rfc3339(instant) {
        Ok(then) => json!(duration((now - then.with_timezone(&Utc)).num_seconds())),
        Err(_) => json!("<unknown>"),
    }
}

/// Seconds in at most two units, coarser the longer it is.
fn duration(seconds: i64) -> String {
    let seconds = seconds.max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: char, small: i64, rest: char| {
        if small == 0 {
            format!("{large}{unit}")
        } else {
            format!("{large}{unit}{small}{rest}")
        }
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10_800 => format!("{minutes}m"),
        10_800..28_800 => two(hours, 'h', minutes % 60, 'm'),
        28_800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// A map as `key=value` pairs.
pub fn pairs(map: Option<&Value>) -> Value {
    let pairs: Vec<String> = map
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    joined(&pairs)
}

/// A label selector.
pub fn selector(object: &Value, path: &[&str]) -> Value {
    let selector = at(object, path).unwrap_or(&Value::Null);
    let mut parts: Vec<String> = at(selector, &["matchLabels"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    for one in items(selector, &["matchExpressions"]) {
        let (key, values) = (text(one, &["key"]), texts(one, &["values"]).join(","));
        parts.push(match text(one, &["operator"]) {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.to_owned(),
        });
    }
    joined(&parts)
}

/// One field of every container of a pod template.
pub fn of_containers(object: &Value, path: &[&str], field: &str) -> Value {
    let parts: Vec<&str> = items(object, path)
        .iter()
        .map(|one| text(one, &[field]))
        .collect();
    joined(&parts)
}

/// The ports of a service.
pub fn ports(object: &Value) -> Value {
    let parts: Vec<String> = items(object, &["spec", "ports"])
        .iter()
        .map(|port| {
            let protocol = text(port, &["protocol"]);
            let inner = number(port, &["port"]).unwrap_or_default();
            match number(port, &["nodePort"]) {
                Some(outer) => format!("{inner}:{outer}/{protocol}"),
                None => format!("{inner}/{protocol}"),
            }
        })
        .collect();
    joined(&parts)
}

/// Used against allowed amounts of a quota, for names that start with `limits.` or do not.
pub fn quota(object: &Value, limits: bool) -> Value {
    let parts: Vec<String> = at(object, &["status", "hard"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(name, _)| name.starts_with("limits.") == limits)
        .map(|(name, hard)| {
            let used = text(object, &["status", "used", name]);
            format!("{name}: {used}/{}", hard.as_str().unwrap_or_default())
        })
        .collect();
    json!(parts.join(", "))
}

/// `Ready` or what else a node's conditions say.
pub fn node_status(object: &Value) -> Value {
    let ready = items(object, &["status", "conditions"])
        .iter()
        .find(|one| text(one, &["type"]) == "Ready")
        .map_or("", |one| text(one, &["status"]));
    let mut status = match ready {
        "True" => "Ready",
        "" => "Unknown",
        _ => "NotReady",
    }
    .to_owned();
    if at(object, &["spec", "unschedulable"]) == Some(&json!(true)) {
        status.push_str(",SchedulingDisabled");
    }
    json!(status)
}

/// The roles of a node, from its labels.
pub fn node_roles(object: &Value) -> Value {
    let roles: Vec<&str> = at(object, &["metadata", "labels"])
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter_map(|(key, _)| key.strip_prefix("node-role.kubernetes.io/"))
        .collect();
    joined(&roles)
}

/// The state of a job.
pub fn job_status(object: &Value) -> Value {
    let conditions = items(object, &["status", "conditions"]);
    let holds = |kind: &&str| {
        conditions
            .iter()
            .any(|one| text(one, &["type"]) == *kind && text(one, &["status"]) == "True")
    };
    let known = ["Complete", "Failed", "Suspended"];
    json!(known.into_iter().find(holds).unwrap_or("Running"))
}

/// The hosts of an ingress.
pub fn hosts(object: &Value) -> Value {
    let hosts: Vec<&str> = items(object, &["spec", "rules"])
        .iter()
        .map(|rule| text(rule, &["host"]))
        .filter(|host| !host.is_empty())
        .collect();
    json!(if hosts.is_empty() {
        "*".to_owned()
    } else {
        hosts.join(",")
    })
}

/// The object of an event, as `kind/name`.
pub fn involved(object: &Value) -> Value {
    let kind = text(object, &["involvedObject", "kind"]).to_lowercase();
    json!(format!(
        "{kind}/{}",
        text(object, &["involvedObject", "name"])
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_get_coarser() {
        for (seconds, text) in [
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (125, "2m5s"),
            (3 * 3600 - 1, "179m"),
            (3 * 3600 + 60, "3h1m"),
            (47 * 3600, "47h"),
            (49 * 3600, "2d1h"),
            (30 * 86_400, "30d"),
            (800 * 86_400, "2y70d"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
