//! `GET /jobs`.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use unity_shared::{
    ids::JobId,
    jobs::{self, JobFilter, JobStatus},
};

use super::view::JobView;
use crate::{
    auth::TenantCaller,
    error::ApiError,
    extract::{QueryParameters, check_instant, check_text},
    page_token::Scope,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

/// Which jobs, and which page of them.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct JobQuery {
    /// Only this status.
    status: Option<JobStatus>,
    /// Only this kind.
    #[param(format = "line")]
    kind: Option<String>,
    /// Only jobs with this label, as `key:value` or `key=value`.
    #[param(pattern = r"^[^:=\u0000-\u001f\u007f-\u009f]+[:=][^\u0000-\u001f\u007f-\u009f]*$")]
    label: Option<String>,
    /// Only jobs made after this instant.
    created_after: Option<DateTime<Utc>>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists the tenant's jobs, newest first.
#[utoipa::path(
    get,
    path = "/jobs",
    tag = "jobs",
    params(JobQuery),
    responses((status = 200, description = "A page of jobs.", body = Page<JobView>)),
)]
pub async fn list_jobs(
    State(state): State<ApiState>,
    caller: TenantCaller,
    QueryParameters(query): QueryParameters<JobQuery>,
) -> Result<Json<Page<JobView>>, ApiError> {
    let canonical = query.canonical();
    let scope = Scope {
        listing: "jobs",
        owner: caller.tenant.as_str(),
        filter: &canonical,
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::read(state.page_tokens(), scope, query.limit, token)?;
    let filter = query.filter(asked.after, asked.rows())?;
    let mut tx = state.database().tenant(&caller.tenant).await?;
    let jobs = jobs::list_jobs(&mut tx, &filter).await?;
    let rows = jobs.into_iter().map(JobView::from).collect();
    Ok(Json(asked.page(rows, JobView::id)))
}

impl JobQuery {
    /// The filter as page tokens are bound to it.
    fn canonical(&self) -> String {
        let Self {
            status,
            kind,
            label,
            created_after,
            limit: _,
            page_token: _,
        } = self;
        json!([status, kind, label, created_after]).to_string()
    }

    fn filter(self, before: Option<JobId>, limit: i64) -> Result<JobFilter, ApiError> {
        let Self {
            status,
            kind,
            label,
            created_after,
            limit: _,
            page_token: _,
        } = self;
        check_text("kind", kind.as_deref())?;
        check_text("label", label.as_deref())?;
        check_instant("created_after", created_after)?;
        let label = label.as_deref().map(split_label).transpose()?;
        Ok(JobFilter {
            status,
            kind,
            label,
            created_after,
            before,
            limit,
        })
    }
}

/// At the first separator: a key has none, a value may.
fn split_label(text: &str) -> Result<(String, String), ApiError> {
    match text.split_once([':', '=']) {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err(ApiError::Query(
            "label must be key:value or key=value".to_owned(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(query: JobQuery) -> Result<JobFilter, ApiError> {
        query.filter(None, 51)
    }

    #[test]
    fn a_label_is_split_at_its_first_separator() {
        for (text, key, value) in [
            ("a:b", "a", "b"),
            ("a=b", "a", "b"),
            ("a:b=c", "a", "b=c"),
            ("a=b:c", "a", "b:c"),
            ("a:", "a", ""),
        ] {
            assert_eq!(
                split_label(text).unwrap(),
                (key.to_owned(), value.to_owned())
            );
        }
        assert!(split_label("a").is_err() && split_label(":b").is_err());
    }

    #[test]
    fn what_the_database_would_refuse_is_refused_before() {
        let kind = JobQuery {
            kind: Some("a\0".to_owned()),
            ..JobQuery::default()
        };
        let label = JobQuery {
            label: Some("a:\0".to_owned()),
            ..JobQuery::default()
        };
        let instant = JobQuery {
            created_after: Some(DateTime::<Utc>::MAX_UTC),
            ..JobQuery::default()
        };
        for query in [kind, label, instant] {
            assert!(matches!(filter(query), Err(ApiError::Query(_))));
        }
    }
}
