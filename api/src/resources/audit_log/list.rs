//! `GET /audit-log`.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::json;
use unity_shared::audit::{AuditFilter, AuditResult, AuditRow, PLATFORM_CHAIN};

use super::Log;
use crate::{
    auth::Caller,
    error::ApiError,
    extract::{QueryParameters, check_instant, check_text},
    page_token::Scope,
    problem::ProblemBody,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

/// Which entries, and which page of them.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct AuditQuery {
    /// A tenant's log, for a system administrator; absent = the caller's own, or the platform's.
    #[param(max_length = 200, format = "line")]
    tenant: Option<String>,
    /// Only this action, for example `job.create`.
    #[param(max_length = 200, format = "line")]
    action: Option<String>,
    /// Only what the actor of this id did.
    #[param(max_length = 200, format = "line")]
    actor: Option<String>,
    /// Only what was done to the object of this id, also where it is one of several.
    #[param(max_length = 200, format = "line")]
    object: Option<String>,
    /// Only what was done to objects of this type.
    #[param(max_length = 200, format = "line")]
    object_type: Option<String>,
    /// Only this result.
    result: Option<AuditResult>,
    /// Only from this instant on.
    from: Option<DateTime<Utc>>,
    /// Only before this instant.
    to: Option<DateTime<Utc>>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Longest text of a filter, in characters.
const TEXT_LIMIT: usize = 200;

/// Lists the entries of an audit log, the last first.
#[utoipa::path(
    get,
    path = "/audit-log",
    tag = "audit",
    params(AuditQuery),
    responses(
        (status = 200, description = "A page of entries.", body = Page<AuditRow>),
        (status = 404, description = "Not the caller's log.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn list_audit_log(
    State(state): State<ApiState>,
    caller: Caller,
    QueryParameters(query): QueryParameters<AuditQuery>,
) -> Result<Json<Page<AuditRow>>, ApiError> {
    query.check()?;
    let log = Log::of(&caller, query.tenant.as_deref())?;
    let canonical = query.canonical();
    let owner = caller
        .tenant
        .as_ref()
        .map_or(PLATFORM_CHAIN, |own| own.as_str());
    let scope = Scope {
        listing: "audit-log",
        owner,
        filter: &canonical,
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::read(state.page_tokens(), scope, query.limit, token)?;
    let filter = query.filter(asked.after, asked.rows());
    let rows = log.list(&state, &filter).await?;
    Ok(Json(asked.page(rows, |row| row.sequence)))
}

impl AuditQuery {
    /// The filter as page tokens are bound to it.
    fn canonical(&self) -> String {
        let Self {
            tenant,
            action,
            actor,
            object,
            object_type,
            result,
            from,
            to,
            limit: _,
            page_token: _,
        } = self;
        json!([tenant, action, actor, object, object_type, result, from, to]).to_string()
    }

    fn check(&self) -> Result<(), ApiError> {
        for (name, text) in [
            ("tenant", &self.tenant),
            ("action", &self.action),
            ("actor", &self.actor),
            ("object", &self.object),
            ("object_type", &self.object_type),
        ] {
            let Some(text) = text else { continue };
            check_text(name, Some(text))?;
            if text.chars().count() > TEXT_LIMIT {
                return Err(ApiError::Query(format!(
                    "{name} must have at most {TEXT_LIMIT} characters"
                )));
            }
        }
        check_instant("from", self.from)?;
        check_instant("to", self.to)
    }

    fn filter(self, before: Option<i64>, limit: i64) -> AuditFilter {
        let Self {
            tenant: _,
            action,
            actor,
            object,
            object_type,
            result,
            from,
            to,
            limit: _,
            page_token: _,
        } = self;
        AuditFilter {
            action,
            actor,
            object,
            object_type,
            result,
            from,
            to,
            before,
            limit,
        }
    }
}
