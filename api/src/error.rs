//! Every way in which a request fails, and what the caller is told about it.
//!
//! The text of an inner error stays inside: it is logged here, once, with its whole chain, and the
//! caller gets a stable code and the id under which the line is found.

use std::{sync::Arc, time::Duration};

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chrono::{DateTime, SecondsFormat, Utc};
use unity_shared::{
    db::DbError,
    jobs::JobStatus,
    queue::GateError,
    telemetry::chain,
    tenancy::{PasswordError, Role},
};

use crate::{
    limits::whole_seconds,
    problem::{FieldError, Problem, QuotaUse},
};

/// Why a request is not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No key, not a key, an unknown, revoked or expired key: one answer for all of them.
    #[error("a valid API key is needed")]
    Unauthenticated,
    /// The caller's tenant is not in use.
    #[error("the tenant is {state}")]
    TenantInactive {
        /// `tenant.{state}`.
        code: &'static str,
        /// What has become of the tenant.
        state: &'static str,
    },
    /// A system administrator asked for something that only a tenant has.
    #[error("this needs a key of the tenant that it is for")]
    TenantRequired,
    /// The caller's role is too low.
    #[error("this needs the role {} or a higher one", .0.as_str())]
    RoleInsufficient(Role),
    /// There is nothing here, or nothing that this caller may know of.
    #[error("there is nothing at this address that you may see")]
    NotFound,
    /// The address exists, the method does not.
    #[error("this address does not take this method")]
    MethodNotAllowed,
    /// More than the limit of one request.
    #[error("the body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// Not JSON by its own word.
    #[error("the body must be sent as content-type application/json in UTF-8")]
    ContentType,
    /// Not JSON in fact, or not the JSON that the route takes.
    #[error("{}", .0.detail)]
    Body(FieldError),
    /// An unknown parameter, or a value that it does not take.
    #[error("{0}")]
    Query(String),
    /// A header has a value that it cannot have.
    #[error("the header {name} {problem}")]
    Header {
        /// The header.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A page token that this listing did not give.
    #[error("the page token does not belong to this listing")]
    PageToken,
    /// The body has the right form and asks for what cannot be.
    #[error("{} of the body's values cannot be accepted", .0.len())]
    Invalid(Vec<FieldError>),
    /// No such kind of job on this server.
    #[error("there is no kind of job of this name")]
    KindUnknown,
    /// The idempotency key was used for another request.
    #[error("this Idempotency-Key was used with another request")]
    IdempotencyMismatch,
    /// The tenant's slug is taken.
    #[error("a tenant of this id exists already")]
    TenantExists,
    /// The tenant has as much of something as it may.
    #[error("the tenant has {used} of {limit} {name}")]
    QuotaExceeded {
        /// The quota's name.
        name: &'static str,
        /// Most that it may have.
        limit: u32,
        /// What it has.
        used: u32,
    },
    /// The caller, its tenant or its address calls too often.
    #[error("too many requests: the limit of this {limit} is reached")]
    RateLimited {
        /// `address`, `key` or `tenant`.
        limit: &'static str,
        /// When the next may come.
        retry_after: Duration,
    },
    /// A switch takes no jobs in.
    #[error("no such jobs are taken in until {}: {reason}", .until.to_rfc3339_opts(SecondsFormat::Secs, true))]
    Drained {
        /// The operator's words.
        reason: String,
        /// When the switch goes off.
        until: DateTime<Utc>,
    },
    /// The job is in a state in which this cannot be done.
    #[error("the job is {}, so it cannot be {action}", .status.as_str())]
    JobState {
        /// The job's status.
        status: JobStatus,
        /// What was asked for, as a participle.
        action: &'static str,
    },
    /// What was asked for cannot be done as things are.
    #[error("{detail}")]
    Conflict {
        /// Stable code.
        code: &'static str,
        /// What stands in the way, and what to do.
        detail: String,
    },
    /// Something changed under the request; the same request may succeed now.
    #[error("the request met a change that was under way; try again")]
    Busy,
    /// The caller's tenant has as many event streams open as it may.
    #[error(
        "the quota event_streams is used up: {} of {} are open here",
        crate::streams::MOST_PER_TENANT,
        crate::streams::MOST_PER_TENANT
    )]
    TooManyStreams,
    /// It took longer than a request may.
    #[error("the request could not be answered in time")]
    Timeout,
    /// A statement failed.
    #[error("the database could not do its part")]
    Database(#[source] Arc<DbError>),
    /// Redis did not do its part, and there is no answer without it.
    #[error("the queue could not do its part")]
    Gate(#[source] GateError),
    /// A password could not be hashed.
    #[error("the first password could not be made")]
    Password(#[source] PasswordError),
    /// A defect of ours.
    #[error("{0}")]
    Defect(String),
}

/// A client that tries again sooner than this many seconds makes things worse.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

/// What the outside is told when the trouble is inside.
const INTERNAL: &str = "the server could not answer; its log has the reason under this request_id";
const UNAVAILABLE: &str = "a part that the server depends on does not answer; try again shortly";

impl ApiError {
    /// Status, stable code and title.
    #[expect(clippy::too_many_lines, reason = "a table: one entry for each variant")]
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "auth.required",
                "Not authenticated",
            ),
            Self::TenantInactive { code, .. } => (StatusCode::FORBIDDEN, code, "Tenant not in use"),
            Self::TenantRequired => (StatusCode::FORBIDDEN, "tenant.required", "Tenant needed"),
            Self::RoleInsufficient(_) => {
                (StatusCode::FORBIDDEN, "role.insufficient", "Not allowed")
            }
            Self::NotFound => (StatusCode::NOT_FOUND, "not_found", "Not found"),
            Self::MethodNotAllowed => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method.not_allowed",
                "Method not allowed",
            ),
            Self::BodyTooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "body.too_large",
                "Body too large",
            ),
            Self::ContentType => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "body.content_type",
                "Unsupported content type",
            ),
            Self::Body(_) => (StatusCode::BAD_REQUEST, "body.invalid", "Malformed body"),
            Self::Query(_) => (StatusCode::BAD_REQUEST, "query.invalid", "Malformed query"),
            Self::Header { .. } => (
                StatusCode::BAD_REQUEST,
                "header.invalid",
                "Malformed header",
            ),
            Self::PageToken => (
                StatusCode::BAD_REQUEST,
                "page_token.invalid",
                "Invalid page token",
            ),
            Self::Invalid(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "validation.failed",
                "Values not acceptable",
            ),
            Self::KindUnknown => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "kind.unknown",
                "Unknown kind of job",
            ),
            Self::IdempotencyMismatch => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "idempotency.mismatch",
                "Idempotency key reused",
            ),
            Self::TenantExists => (StatusCode::CONFLICT, "tenant.exists", "Tenant exists"),
            Self::QuotaExceeded { .. } | Self::TooManyStreams => (
                StatusCode::TOO_MANY_REQUESTS,
                "quota_exceeded",
                "Quota used up",
            ),
            Self::RateLimited { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "Too many requests",
            ),
            Self::Drained { .. } => (StatusCode::CONFLICT, "switch.draining", "Nothing taken in"),
            Self::JobState { .. } => (
                StatusCode::CONFLICT,
                "job.state",
                "Not possible in this state",
            ),
            Self::Conflict { code, .. } => (StatusCode::CONFLICT, code, "Not possible now"),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "busy",
                "Met a change under way",
            ),
            Self::Timeout => (
                StatusCode::SERVICE_UNAVAILABLE,
                "timeout",
                "Not answered in time",
            ),
            Self::Gate(_) => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Temporarily unavailable",
            ),
            Self::Database(error) if error.retryable() => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Temporarily unavailable",
            ),
            Self::Database(_) | Self::Password(_) | Self::Defect(_) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }

    /// What the caller reads: our own words, never an inner error's.
    fn detail(&self) -> String {
        match self {
            Self::Gate(_) => UNAVAILABLE.to_owned(),
            Self::Database(error) if error.retryable() => UNAVAILABLE.to_owned(),
            Self::Database(_) | Self::Password(_) | Self::Defect(_) => INTERNAL.to_owned(),
            Self::Unauthenticated
            | Self::TenantInactive { .. }
            | Self::TenantRequired
            | Self::RoleInsufficient(_)
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::BodyTooLarge(_)
            | Self::ContentType
            | Self::Body(_)
            | Self::Query(_)
            | Self::Header { .. }
            | Self::PageToken
            | Self::Invalid(_)
            | Self::KindUnknown
            | Self::IdempotencyMismatch
            | Self::TenantExists
            | Self::QuotaExceeded { .. }
            | Self::RateLimited { .. }
            | Self::Drained { .. }
            | Self::JobState { .. }
            | Self::Conflict { .. }
            | Self::Busy
            | Self::TooManyStreams
            | Self::Timeout => self.to_string(),
        }
    }

    /// What is wrong where in the body; empty if the body is not the trouble.
    pub fn errors(&self) -> Vec<FieldError> {
        match self {
            Self::Body(error) => vec![error.clone()],
            Self::Invalid(errors) => errors.clone(),
            Self::KindUnknown => vec![FieldError {
                pointer: "/kind".to_owned(),
                code: "unknown",
                detail: self.to_string(),
            }],
            Self::TenantExists => vec![FieldError {
                pointer: "/id".to_owned(),
                code: "taken",
                detail: self.to_string(),
            }],
            Self::Unauthenticated
            | Self::TenantInactive { .. }
            | Self::TenantRequired
            | Self::RoleInsufficient(_)
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::BodyTooLarge(_)
            | Self::ContentType
            | Self::Query(_)
            | Self::Header { .. }
            | Self::PageToken
            | Self::IdempotencyMismatch
            | Self::QuotaExceeded { .. }
            | Self::RateLimited { .. }
            | Self::Drained { .. }
            | Self::JobState { .. }
            | Self::Conflict { .. }
            | Self::Busy
            | Self::TooManyStreams
            | Self::Timeout
            | Self::Database(_)
            | Self::Gate(_)
            | Self::Password(_)
            | Self::Defect(_) => Vec::new(),
        }
    }
}

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<GateError> for ApiError {
    fn from(error: GateError) -> Self {
        Self::Gate(error)
    }
}

impl From<Arc<DbError>> for ApiError {
    fn from(error: Arc<DbError>) -> Self {
        Self::Database(error)
    }
}

/// The header that a status must not come without.
fn extra_header(status: StatusCode) -> Option<(HeaderName, HeaderValue)> {
    match status {
        StatusCode::UNAUTHORIZED => Some((header::WWW_AUTHENTICATE, CHALLENGE)),
        StatusCode::SERVICE_UNAVAILABLE => Some((header::RETRY_AFTER, RETRY_AFTER)),
        _ => None,
    }
}

impl IntoResponse for ApiError {
    /// Status and headers, with the [`Problem`] attached; the middleware writes the body, because
    /// only it knows which request is answered.
    fn into_response(self) -> Response {
        let (status, code, title) = self.kind();
        if status.is_server_error() {
            tracing::error!(error = %chain(&self), code, "request failed");
        }
        let retry_after = match &self {
            Self::RateLimited { retry_after, .. } => Some(whole_seconds(*retry_after).max(1)),
            _ => None,
        };
        let quota = match self {
            Self::QuotaExceeded { name, limit, used } => Some(QuotaUse { name, limit, used }),
            _ => None,
        };
        let job_status = match self {
            Self::JobState { status, .. } => Some(status),
            _ => None,
        };
        let problem = Problem {
            code: code.into(),
            title,
            detail: self.detail(),
            errors: self.errors(),
            quota,
            job_status,
        };
        let mut response = status.into_response();
        if let Some((name, value)) = extra_header(status) {
            response.headers_mut().insert(name, value);
        }
        if let Some(seconds) = retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(problem);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem_of(error: ApiError) -> (StatusCode, Problem, Response) {
        let response = error.into_response();
        let problem = response
            .extensions()
            .get::<Problem>()
            .cloned()
            .unwrap_or_else(|| Problem {
                code: "none".into(),
                title: "",
                detail: String::new(),
                errors: Vec::new(),
                quota: None,
                job_status: None,
            });
        (response.status(), problem, response)
    }

    #[test]
    fn a_missing_key_is_challenged() {
        let (status, problem, response) = problem_of(ApiError::Unauthenticated);
        assert_eq!(status, StatusCode::UNAUTHORIZED);
        assert_eq!(problem.code, "auth.required");
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }

    #[test]
    fn an_inner_error_stays_inside() {
        let inner = DbError::Constraint {
            constraint: "secret_table_pkey".to_owned(),
            source: unavailable_source(),
        };
        let (status, problem, _) = problem_of(ApiError::from(inner));
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(problem.code, "internal");
        assert!(!problem.detail.contains("secret_table"));
    }

    #[test]
    fn a_database_that_is_away_asks_to_come_back() {
        let (status, problem, response) =
            problem_of(ApiError::from(DbError::Unavailable(unavailable_source())));
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(problem.code, "unavailable");
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    }

    /// `sqlx::Error` through the one public door that makes one here.
    fn unavailable_source() -> sqlx::Error {
        sqlx::Error::PoolTimedOut
    }
}
