//! What requests for many jobs at once have in common: the filter, its limit, the answer.

use std::collections::BTreeMap;

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Deed},
    ids::JobId,
    jobs::{Choice, JobStatus},
};

use super::{order::check_labels, repeat::LOOK_AFTER};
use crate::{
    error::ApiError,
    extract::{Object, has_unusual_year, whole_or_null},
    openapi::Labels,
    violations::Violations,
};

/// Which jobs, and how many of them.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BulkOrder {
    /// Which jobs. At least one criterion is stated; all that are stated apply.
    #[schema(value_type = BulkFilter)]
    filter: Object<BulkFilter>,
    /// Most jobs, oldest first. Absent = 1000.
    #[serde(default, deserialize_with = "whole_or_null")]
    #[schema(minimum = 1, maximum = 1000)]
    limit: Option<i64>,
}

/// Criteria of jobs.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(min_properties = 1)]
struct BulkFilter {
    /// Only this status.
    status: Option<JobStatus>,
    /// Only this kind.
    #[schema(min_length = 1, max_length = 200, format = "line")]
    kind: Option<String>,
    /// Only jobs with all of these labels.
    #[schema(value_type = Option<Labels>)]
    label: Option<BTreeMap<String, String>>,
    /// Only jobs made after this instant.
    created_after: Option<DateTime<Utc>>,
    /// Only jobs made before this instant.
    created_before: Option<DateTime<Utc>>,
    /// Only these.
    #[schema(min_items = 1, max_items = 1000)]
    ids: Option<Vec<JobId>>,
}

/// What was done to how many jobs.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct BulkDone {
    /// Jobs that it was done to.
    pub count: usize,
    /// Whether there are more to which it could be done: ask again.
    pub more: bool,
}

const MOST: i64 = 1000;

impl BulkOrder {
    /// The jobs to look for, of which one more than the limit tells that there are more. `possible` are
    /// the states in which a job can be part of it.
    pub fn accept(self, possible: &[JobStatus]) -> Result<Choice, ApiError> {
        let Self {
            filter: Object(filter),
            limit,
        } = self;
        let limit = limit.unwrap_or(MOST);
        let mut violations = Violations::default();
        violations.range("/limit", limit, &(1..=MOST));
        filter.check(&mut violations, possible);
        violations.finish()?;
        let BulkFilter {
            status,
            kind,
            label,
            created_after,
            created_before,
            ids,
        } = filter;
        Ok(Choice {
            status,
            kind,
            labels: label.map(|labels| json!(labels)),
            created_after,
            created_before,
            ids,
            limit: limit + 1,
        })
    }
}

impl BulkFilter {
    fn check(&self, violations: &mut Violations, possible: &[JobStatus]) {
        let Self {
            status,
            kind,
            label,
            created_after,
            created_before,
            ids,
        } = self;
        let states_nothing = status.is_none()
            && kind.is_none()
            && label.as_ref().is_none_or(BTreeMap::is_empty)
            && created_after.is_none()
            && created_before.is_none()
            && ids.is_none();
        if states_nothing {
            violations.add("/filter", "empty", "must state at least one criterion");
        }
        if let Some(status) = status.filter(|status| !possible.contains(status)) {
            let names: Vec<&str> = possible.iter().map(|status| status.as_str()).collect();
            let detail = format!(
                "is {}, but must be one of {}",
                status.as_str(),
                names.join(", ")
            );
            violations.add("/filter/status", "state", &detail);
        }
        if let Some(kind) = kind {
            violations.text("/filter/kind", kind, &(1..=200));
        }
        if let Some(labels) = label {
            check_labels(violations, "/filter/label", labels);
        }
        for (pointer, instant) in [
            ("/filter/created_after", created_after),
            ("/filter/created_before", created_before),
        ] {
            if instant.is_some_and(has_unusual_year) {
                violations.add(pointer, "range", "must be of the years 0 to 9999");
            }
        }
        if ids
            .as_ref()
            .is_some_and(|ids| !(1..=1000).contains(&ids.len()))
        {
            violations.add("/filter/ids", "count", "must be 1 to 1000 ids");
        }
    }
}

/// The answer: what was done is committed.
pub fn answer(done: &BulkDone) -> Response {
    let look_after = [(header::RETRY_AFTER, LOOK_AFTER)];
    (StatusCode::ACCEPTED, look_after, Json(done)).into_response()
}

/// What the audit log is told: the ids of all jobs that it was done to, at most a thousand.
pub fn told(action: Action, jobs: impl Iterator<Item = JobId>) -> Deed {
    let ids: Vec<JobId> = jobs.collect();
    let detail = json!({ "count": ids.len(), "ids": ids });
    Deed::done(action, AuditedObject::several("job"), detail)
}

/// The jobs within the limit of `choice`, and whether there are more.
pub fn within_limit<T>(choice: &Choice, mut chosen: Vec<T>) -> (Vec<T>, bool) {
    let limit = usize::try_from(choice.limit - 1).unwrap_or(0);
    let more = chosen.len() > limit;
    chosen.truncate(limit);
    (chosen, more)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accept(order: serde_json::Value) -> Result<Choice, ApiError> {
        serde_json::from_value::<BulkOrder>(order)
            .unwrap()
            .accept(&[JobStatus::Queued])
    }

    fn faults(order: serde_json::Value) -> Vec<(String, &'static str)> {
        match accept(order) {
            Err(ApiError::Invalid(errors)) => {
                errors.into_iter().map(|e| (e.pointer, e.code)).collect()
            }
            other => panic!("answered with {other:?}"),
        }
    }

    #[test]
    fn a_filter_states_something_that_can_be() {
        let many: Vec<JobId> = (0..1001).map(|_| JobId::new()).collect();
        for (filter, pointer, code) in [
            (json!({}), "/filter", "empty"),
            (json!({ "label": {} }), "/filter", "empty"),
            (json!({ "status": "succeeded" }), "/filter/status", "state"),
            (json!({ "kind": "" }), "/filter/kind", "length"),
            (json!({ "kind": "a\0" }), "/filter/kind", "characters"),
            (
                json!({ "label": { "a": "\n" } }),
                "/filter/label/a",
                "characters",
            ),
            (
                json!({ "created_after": "+12026-01-01T00:00:00Z" }),
                "/filter/created_after",
                "range",
            ),
            (json!({ "ids": [] }), "/filter/ids", "count"),
            (json!({ "ids": many }), "/filter/ids", "count"),
        ] {
            let found = faults(json!({ "filter": filter }));
            assert_eq!(found, [(pointer.to_owned(), code)], "{filter}");
        }
        for limit in [0, -1, 1001] {
            let order = json!({ "filter": { "kind": "probe" }, "limit": limit });
            assert_eq!(faults(order), [("/limit".to_owned(), "range")]);
        }
    }

    #[test]
    fn one_job_over_the_limit_tells_that_there_are_more() {
        let choice = accept(json!({ "filter": { "status": "queued" }, "limit": 2 })).unwrap();
        assert_eq!(choice.limit, 3);
        assert_eq!(within_limit(&choice, vec![1, 2, 3]), (vec![1, 2], true));
        assert_eq!(within_limit(&choice, vec![1, 2]), (vec![1, 2], false));
    }
}
