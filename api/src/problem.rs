//! The body of every error: RFC 9457 `application/problem+json`.
//!
//! `type` is the relative reference `/problems/{code}`: a stable name for the kind of problem, not a
//! page to fetch. Programs compare `code`; people read `detail`.

use std::borrow::Cow;

use axum::{
    http::{HeaderValue, Response, header},
    response::IntoResponse,
};
use serde::Serialize;
use unity_shared::{ids::RequestId, jobs::JobStatus, tenancy::TenantStatus};

/// The media type of a problem.
const MEDIA_TYPE: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A problem before the request that it answers is known.
#[derive(Debug, Clone)]
pub struct Problem {
    /// Stable name for programs, `dot.case`.
    pub code: Cow<'static, str>,
    /// The same sentence for every problem of this code.
    pub title: &'static str,
    /// What is wrong this time, for people.
    pub detail: String,
    /// What is wrong where in the body. Empty if the body is not the trouble.
    pub errors: Vec<FieldError>,
    /// The quota that is used up, if that is the trouble.
    pub quota: Option<QuotaUse>,
    /// The state that the job is in, if that is the trouble.
    pub job_status: Option<JobStatus>,
    /// The state that the tenant is in, if that is the trouble.
    pub tenant_status: Option<TenantStatus>,
}

/// A quota that is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct QuotaUse {
    /// The quota's name.
    #[schema(value_type = String)]
    pub name: &'static str,
    /// Most that the tenant may have.
    pub limit: u32,
    /// What it has.
    pub used: u32,
}

/// One fault in a request's body.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct FieldError {
    /// JSON pointer (RFC 6901) to the fault; empty = the body as a whole.
    pub pointer: String,
    /// Stable name for programs.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// What is wrong there, for people.
    pub detail: String,
}

/// An error, as RFC 9457 has it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// `/problems/{code}`.
    #[serde(rename = "type")]
    kind: String,
    /// The same sentence for every problem of this code.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// What is wrong this time.
    detail: &'a str,
    /// The path that was asked for.
    instance: &'a str,
    /// Stable name for programs, `dot.case`.
    code: &'a str,
    /// Finds the request in the server's log. Absent only where no request could be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<RequestId>,
    /// What is wrong where in the body; absent if the body is not the trouble.
    #[serde(skip_serializing_if = "<[FieldError]>::is_empty")]
    errors: &'a [FieldError],
    /// The quota that is used up; absent if that is not the trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    quota: Option<QuotaUse>,
    /// The state that the job is in; absent if that is not the trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    job_status: Option<JobStatus>,
    /// The state that the tenant is in; absent if that is not the trouble.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_status: Option<TenantStatus>,
}

impl Problem {
    /// Writes the problem as the body of `response`, whose status and headers stay.
    pub fn render<B>(
        &self,
        response: &Response<B>,
        request_id: Option<RequestId>,
        instance: &str,
    ) -> axum::response::Response {
        let body = ProblemBody {
            kind: format!("/problems/{}", self.code),
            title: self.title,
            status: response.status().as_u16(),
            detail: &self.detail,
            instance,
            code: &self.code,
            request_id,
            errors: &self.errors,
            quota: self.quota,
            job_status: self.job_status,
            tenant_status: self.tenant_status,
        };
        // Texts and numbers only: it cannot fail, and an empty body is a lesser evil than a panic.
        let bytes = serde_json::to_vec(&body).unwrap_or_default();
        let mut rendered = (response.status(), bytes).into_response();
        let mut headers = response.headers().clone();
        headers.remove(header::CONTENT_LENGTH);
        headers.insert(header::CONTENT_TYPE, MEDIA_TYPE);
        *rendered.headers_mut() = headers;
        rendered
    }
}
