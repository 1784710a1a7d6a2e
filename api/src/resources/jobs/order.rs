//! What a job is asked to be, and what of it can be accepted.

use std::{collections::BTreeMap, ops::RangeInclusive};

use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use unity_shared::{
    ids::RequestId,
    jobs::{KindSpec, NewJob, NewJobError},
    tenancy::Role,
};

use crate::{
    error::ApiError,
    extract::whole_or_null,
    openapi::{LONGEST_LABEL_KEY, LONGEST_LABEL_VALUE, Labels, MOST_LABELS},
    state::ApiState,
    violations::{Violations, escape_segment},
};

/// A job to be enqueued.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct JobOrder {
    /// What is to be done; `GET /job-kinds` lists what there is.
    #[schema(
        example = "provision_namespace",
        min_length = 1,
        max_length = 200,
        format = "line"
    )]
    pub kind: String,
    /// What the kind takes, at most 64 KiB.
    #[schema(value_type = Object)]
    payload: Value,
    /// 0 (last) to 9 (first) among the tenant's waiting jobs. Absent = 5.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 0, maximum = 9)]
    priority: Option<i64>,
    /// Not before this instant; one that has passed means now. Not together with `delay_seconds`.
    run_at: Option<DateTime<Utc>>,
    /// Not before so many seconds have passed, up to a year. Not together with `run_at`.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 0, maximum = 31_536_000)]
    delay_seconds: Option<i64>,
    /// Longest time of one attempt. Absent = the kind's.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 86_400)]
    timeout_seconds: Option<i64>,
    /// Most attempts. Absent = the kind's.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 100)]
    max_attempts: Option<i64>,
    /// At most one job of the tenant with the same key runs at a time. Absent = the kind's.
    #[schema(min_length = 1, max_length = 200, format = "line")]
    resource_key: Option<String>,
    /// The job fails as `expired` if its first attempt has not begun by then. Absent = never.
    expires_at: Option<DateTime<Utc>>,
    /// Up to 32 free labels; keys have 1 to 63 characters, values at most 256.
    #[schema(value_type = Option<Labels>)]
    labels: Option<BTreeMap<String, String>>,
}

const PRIORITY: RangeInclusive<i64> = 0..=9;
const DELAY_SECONDS: RangeInclusive<i64> = 0..=31_536_000;
const TIMEOUT_SECONDS: RangeInclusive<i64> = 1..=86_400;
const MAX_ATTEMPTS: RangeInclusive<i64> = 1..=100;
const RESOURCE_KEY_LENGTH: RangeInclusive<usize> = 1..=200;
const PAYLOAD_LIMIT_BYTES: usize = 64 * 1024;

impl JobOrder {
    /// Checks that this server has the kind and the caller may start it, every value against its
    /// range, and the payload against its kind.
    pub fn accept(
        self,
        state: &ApiState,
        role: Role,
        request_id: RequestId,
        now: DateTime<Utc>,
    ) -> Result<NewJob, ApiError> {
        let kind = state
            .kinds()
            .find(|kind| kind.name == self.kind)
            .ok_or(ApiError::KindUnknown)?;
        if role < kind.start_role {
            return Err(ApiError::RoleInsufficient(kind.start_role));
        }
        self.accept_as(kind, request_id, now)
    }

    fn accept_as(
        self,
        kind: &KindSpec,
        request_id: RequestId,
        now: DateTime<Utc>,
    ) -> Result<NewJob, ApiError> {
        if self.payload.to_string().len() > PAYLOAD_LIMIT_BYTES {
            return Err(ApiError::PayloadTooLarge(PAYLOAD_LIMIT_BYTES));
        }
        let mut violations = Violations::default();
        self.check_ranges(&mut violations, now);
        let job = new_job(&mut violations, kind, &self.payload, now);
        violations.finish()?;
        let mut job = job.ok_or_else(|| ApiError::Defect("a job without a fault".to_owned()))?;
        let Self {
            kind: _,
            payload: _,
            priority,
            run_at,
            delay_seconds,
            timeout_seconds,
            max_attempts,
            resource_key,
            expires_at,
            labels,
        } = self;
        job.request_id = Some(request_id);
        job.run_at = start(run_at, delay_seconds, now);
        job.priority = narrow(priority)?.unwrap_or(job.priority);
        job.timeout_seconds = narrow(timeout_seconds)?.unwrap_or(job.timeout_seconds);
        job.max_attempts = narrow(max_attempts)?.unwrap_or(job.max_attempts);
        job.resource_key = resource_key.or(job.resource_key);
        job.expires_at = expires_at.map(to_microseconds);
        let labels = labels.unwrap_or_default().into_iter();
        job.labels = Value::Object(labels.map(|(key, value)| (key, value.into())).collect());
        Ok(job)
    }

    fn check_ranges(&self, violations: &mut Violations, now: DateTime<Utc>) {
        for (pointer, value, range) in [
            ("/priority", self.priority, PRIORITY),
            ("/delay_seconds", self.delay_seconds, DELAY_SECONDS),
            ("/timeout_seconds", self.timeout_seconds, TIMEOUT_SECONDS),
            ("/max_attempts", self.max_attempts, MAX_ATTEMPTS),
        ] {
            if let Some(value) = value {
                violations.range(pointer, value, &range);
            }
        }
        if self.run_at.is_some() && self.delay_seconds.is_some() {
            violations.add(
                "/delay_seconds",
                "exclusive",
                "cannot be stated together with run_at",
            );
        }
        if self.run_at.is_some_and(|instant| instant.year() > 9999) {
            violations.add("/run_at", "range", "must not be after the year 9999");
        }
        if let Some(end) = self.expires_at {
            if end.year() > 9999 {
                violations.add("/expires_at", "range", "must not be after the year 9999");
            } else if end <= start(self.run_at, self.delay_seconds, now) {
                let detail = "must be after now, and after the time that the job waits for";
                violations.add("/expires_at", "range", detail);
            }
        }
        if let Some(key) = &self.resource_key {
            violations.text("/resource_key", key, &RESOURCE_KEY_LENGTH);
        }
        if let Some(labels) = &self.labels {
            check_labels(violations, "/labels", labels);
        }
    }
}

/// Notes what is wrong with labels, which stand at `place` in the body.
pub fn check_labels(violations: &mut Violations, place: &str, labels: &BTreeMap<String, String>) {
    if labels.len() > MOST_LABELS {
        let detail = format!("must not be more than {MOST_LABELS}");
        violations.add(place, "count", &detail);
        return;
    }
    for (key, value) in labels {
        let pointer = format!("{place}/{}", escape_segment(key));
        violations.text(&pointer, key, &(1..=LONGEST_LABEL_KEY));
        violations.text(&pointer, value, &(0..=LONGEST_LABEL_VALUE));
    }
}

/// The job with its payload checked; `None` if it cannot be accepted.
fn new_job(
    violations: &mut Violations,
    kind: &KindSpec,
    payload: &Value,
    now: DateTime<Utc>,
) -> Option<NewJob> {
    if !payload.is_object() {
        violations.add("/payload", "payload", "must be a JSON object");
        return None;
    }
    if !violations.json("/payload", payload) {
        return None;
    }
    match NewJob::new(kind, payload, now) {
        Ok(job) => Some(job),
        Err(NewJobError::Payload(error)) => {
            let pointer = format!("/payload{}", error.pointer);
            violations.add(pointer, "payload", &error.detail);
            None
        }
    }
}

/// When the job may start, to the microsecond that the database keeps.
fn start(
    run_at: Option<DateTime<Utc>>,
    delay_seconds: Option<i64>,
    now: DateTime<Utc>,
) -> DateTime<Utc> {
    let asked = match (run_at, delay_seconds) {
        (Some(instant), _) => Some(to_microseconds(instant)),
        (None, Some(seconds)) => {
            TimeDelta::try_seconds(seconds).and_then(|delay| now.checked_add_signed(delay))
        }
        (None, None) => None,
    };
    asked.map_or(now, |instant| instant.max(now))
}

/// What the database keeps of an instant.
fn to_microseconds(instant: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_micros(instant.timestamp_micros()).unwrap_or(instant)
}

/// A number that has passed its range check fits its column.
fn narrow<T: TryFrom<i64>>(value: Option<i64>) -> Result<Option<T>, ApiError> {
    value
        .map(|value| {
            T::try_from(value)
                .map_err(|_| ApiError::Defect(format!("{value} passed its range check")))
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unity_shared::jobs::{JobStatus, kinds::find_kind};

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    fn accept(order: Value) -> Result<NewJob, ApiError> {
        let order: JobOrder = serde_json::from_value(order).unwrap();
        let kind = find_kind(&order.kind).unwrap();
        order.accept_as(kind, RequestId::new(), now())
    }

    fn faults(mut order: Value) -> Vec<(String, &'static str)> {
        if order.get("kind").is_none() {
            order["kind"] = json!("probe");
        }
        if order.get("payload").is_none() {
            order["payload"] = json!({});
        }
        match accept(order) {
            Err(ApiError::Invalid(errors)) => {
                errors.into_iter().map(|e| (e.pointer, e.code)).collect()
            }
            other => panic!("answered with {other:?}"),
        }
    }

    #[test]
    fn what_is_not_stated_comes_from_the_kind() {
        let job = accept(json!({"kind": "provision_namespace", "payload": {}})).unwrap();
        assert_eq!(job.resource_key.as_deref(), Some("namespace"));
        assert_eq!(job.max_attempts, 20);
        assert_eq!(job.first_status(now()), JobStatus::Queued);
    }

    #[test]
    fn what_is_stated_wins() {
        let job = accept(json!({
            "kind": "probe", "payload": {}, "priority": 9, "delay_seconds": 5, "timeout_seconds": 1,
            "max_attempts": 100, "resource_key": "r", "labels": {"a": ""},
        }))
        .unwrap();
        assert_eq!(
            (job.priority, job.timeout_seconds, job.max_attempts),
            (9, 1, 100)
        );
        assert_eq!(job.run_at, now() + TimeDelta::seconds(5));
        assert_eq!(job.first_status(now()), JobStatus::Scheduled);
        assert_eq!(job.labels["a"], "");
    }

    #[test]
    fn an_instant_that_has_passed_means_now() {
        let order = json!({"kind": "probe", "payload": {}, "run_at": "1999-12-31T23:59:59Z"});
        assert_eq!(accept(order).unwrap().run_at, now());
    }

    #[test]
    fn each_value_has_its_range() {
        for (order, pointer, code) in [
            (json!({"priority": 10}), "/priority", "range"),
            (json!({"priority": -1}), "/priority", "range"),
            (json!({"timeout_seconds": 0}), "/timeout_seconds", "range"),
            (
                json!({"timeout_seconds": 86_401}),
                "/timeout_seconds",
                "range",
            ),
            (json!({"max_attempts": 0}), "/max_attempts", "range"),
            (json!({"max_attempts": i64::MAX}), "/max_attempts", "range"),
            (json!({"delay_seconds": -1}), "/delay_seconds", "range"),
            (
                json!({"delay_seconds": 31_536_001}),
                "/delay_seconds",
                "range",
            ),
            (
                json!({"delay_seconds": 1, "run_at": "2030-01-01T00:00:00Z"}),
                "/delay_seconds",
                "exclusive",
            ),
            (
                json!({"run_at": "+12026-01-01T00:00:00Z"}),
                "/run_at",
                "range",
            ),
            (
                json!({"expires_at": "2026-01-01T00:00:00Z"}),
                "/expires_at",
                "range",
            ),
            (
                json!({"expires_at": "2031-01-01T00:00:00Z", "run_at": "2032-01-01T00:00:00Z"}),
                "/expires_at",
                "range",
            ),
            (json!({"resource_key": ""}), "/resource_key", "length"),
            (
                json!({"resource_key": "é".repeat(201)}),
                "/resource_key",
                "length",
            ),
            (
                json!({"resource_key": "a\tb"}),
                "/resource_key",
                "characters",
            ),
            (json!({"labels": {"": "x"}}), "/labels/", "length"),
            (json!({"labels": {"k": "\0"}}), "/labels/k", "characters"),
            (
                json!({"labels": {"k": "v".repeat(257)}}),
                "/labels/k",
                "length",
            ),
            (
                json!({"payload": {"echo": "\0"}}),
                "/payload/echo",
                "characters",
            ),
            (
                json!({"payload": {"sleep_ms": "long"}}),
                "/payload/sleep_ms",
                "payload",
            ),
            (
                json!({"payload": {"surprise": 1}}),
                "/payload/surprise",
                "payload",
            ),
            (json!({"payload": null}), "/payload", "payload"),
            (json!({"payload": []}), "/payload", "payload"),
        ] {
            assert_eq!(
                faults(order.clone()),
                [(pointer.to_owned(), code)],
                "{order}"
            );
        }
    }

    #[test]
    fn faults_of_ranges_and_of_the_payload_are_told_together() {
        let found = faults(json!({"priority": 10, "payload": {"sleep_ms": "long"}}));
        let pointers: Vec<&str> = found.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(pointers, ["/priority", "/payload/sleep_ms"]);
    }

    #[test]
    fn a_payload_has_at_most_64_kibibytes() {
        // With its quotes and braces, and the field's name.
        let order =
            |length: usize| json!({"kind": "probe", "payload": {"echo": "x".repeat(length)}});
        assert!(accept(order(64 * 1024 - 11)).is_ok());
        assert!(matches!(
            accept(order(64 * 1024 - 10)),
            Err(ApiError::PayloadTooLarge(65_536))
        ));
    }

    #[test]
    fn there_are_at_most_32_labels() {
        let labels = |count: usize| -> BTreeMap<String, String> {
            (0..count).map(|n| (n.to_string(), String::new())).collect()
        };
        let order = |count| json!({"kind": "probe", "payload": {}, "labels": labels(count)});
        assert!(accept(order(32)).is_ok());
        assert_eq!(faults(order(33)), [("/labels".to_owned(), "count")]);
    }
}
