//! Every way in which a request fails, and what the caller is told about it.
//!
//! The text of an inner error stays inside: it is logged here, once, with its whole chain, and the
//! caller gets a stable code and the id under which the line is found.

mod answer;
mod entry;
mod told;

use std::{sync::Arc, time::Duration};

use axum::http::StatusCode;
use chrono::{DateTime, SecondsFormat, Utc};
use unity_shared::{
    db::DbError,
    ids::TenantId,
    jobs::JobStatus,
    queue::GateError,
    tenancy::{PasswordError, Role, Scope, TenantStatus},
};

pub use entry::EntryError;

use crate::problem::FieldError;

/// Why a request is not answered as hoped.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No credential, none of ours, or one that is unknown, revoked or past its end: one answer for all
    /// of them.
    #[error("a valid API key or access token is needed")]
    Unauthenticated,
    /// Wrong address, wrong password, disabled, or no member of anything: one answer for all of them.
    #[error("the address or the password is wrong, or there is nothing there to log in to")]
    LoginFailed,
    /// Not a refresh token, or one that is used up or past its end.
    #[error("this refresh token is not good, or not any more; log in again")]
    RefreshInvalid,
    /// The refresh token was used while this request was under way.
    #[error("this refresh token is being used: go on with what that call is answered")]
    RefreshRaced,
    /// Whoever logs in belongs to several tenants.
    #[error("say as tenant_id where to log in")]
    TenantAmbiguous(Vec<TenantId>),
    /// So many guesses that the next has to wait.
    #[error("there were too many attempts to log in; wait {} seconds", .retry_after.as_secs())]
    TooManyAttempts {
        /// Until an attempt is taken again.
        retry_after: Duration,
    },
    /// More passwords wait to be checked than can be in good time.
    #[error("too many logins are under way; try again shortly")]
    Overloaded,
    /// The caller's first password is not their own yet.
    #[error("the password must be changed first: POST /api/v1/auth/password")]
    MustChangePassword,
    /// A program asked for what only a person who has logged in has.
    #[error("this is for people who have logged in, not for API keys")]
    SessionRequired,
    /// An administrator who acts in a tenant asked for something that would outlast their leave.
    #[error("whoever acts in a tenant makes nothing there that outlasts their leave")]
    ActingForbidden,
    /// The key is confined to other things.
    #[error("the scopes of this API key do not include {0}")]
    ScopeInsufficient(Scope),
    /// Somebody was not let in by an invitation or an identity provider.
    #[error(transparent)]
    Entry(#[from] EntryError),
    /// The caller's tenant is not in use.
    #[error("the tenant is {state}")]
    TenantInactive {
        /// `tenant.{state}`.
        code: &'static str,
        /// What has become of the tenant.
        state: &'static str,
    },
    /// A system administrator asked in their own name for something inside a tenant.
    #[error(
        "this is the tenant's own: act in it, by POST /api/v1/tenants/{{id}}/act-as, to reach it"
    )]
    ActAsRequired,
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
    /// A job's payload is larger than it may be.
    #[error("the payload is larger than {0} bytes")]
    PayloadTooLarge(usize),
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
        /// `address`, `key` or `tenant`; what else is spared is named in words.
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
    /// The tenant is in a state from which this step does not lead.
    #[error("the tenant is {}, so it cannot be {action}", .status.as_str())]
    TenantState {
        /// The tenant's state.
        status: TenantStatus,
        /// What was asked for, as a participle.
        action: &'static str,
    },
    /// The object is not at the version that the caller named.
    #[error("it has changed since: its ETag is none of those in If-Match")]
    Precondition,
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
    /// One of several jobs is refused, and with it all of them.
    #[error("job {place} of the batch: {error}")]
    OfJob {
        /// Its place in the body, from 0.
        place: usize,
        /// Why it is refused.
        error: Box<ApiError>,
    },
    /// A password could not be hashed.
    #[error("the password could not be hashed")]
    Password(#[source] PasswordError),
    /// A defect of ours.
    #[error("{0}")]
    Defect(String),
}

impl ApiError {
    /// The refusal of the job at this place of a batch.
    pub fn of_job(self, place: usize) -> Self {
        Self::OfJob {
            place,
            error: Box::new(self),
        }
    }

    /// Whether the request is to blame, or what it asks for as things are.
    pub fn is_refusal(&self) -> bool {
        self.kind().0.is_client_error()
    }

    /// Its stable code.
    pub fn code(&self) -> &'static str {
        self.kind().1
    }

    /// Status, stable code and title.
    #[expect(clippy::too_many_lines, reason = "a table: one entry for each variant")]
    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Unauthenticated => (
                StatusCode::UNAUTHORIZED,
                "auth.required",
                "Not authenticated",
            ),
            Self::LoginFailed => (StatusCode::UNAUTHORIZED, "auth.failed", "Not logged in"),
            Self::RefreshInvalid => (StatusCode::UNAUTHORIZED, "refresh.invalid", "Not refreshed"),
            Self::RefreshRaced => (StatusCode::CONFLICT, "refresh.raced", "Refreshed already"),
            Self::TenantAmbiguous(_) => {
                (StatusCode::CONFLICT, "tenant.ambiguous", "Several tenants")
            }
            Self::TooManyAttempts { .. } => (
                StatusCode::TOO_MANY_REQUESTS,
                "rate_limited",
                "Too many attempts",
            ),
            Self::Overloaded => (
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "Too much at once",
            ),
            Self::MustChangePassword => (
                StatusCode::FORBIDDEN,
                "password.must_change",
                "Password must be changed",
            ),
            Self::SessionRequired => (StatusCode::FORBIDDEN, "session.required", "Not logged in"),
            Self::ActingForbidden => (StatusCode::FORBIDDEN, "act_as.forbidden", "Not allowed"),
            Self::ScopeInsufficient(_) => {
                (StatusCode::FORBIDDEN, "scope.insufficient", "Not allowed")
            }
            Self::Entry(error) => error.kind(),
            Self::TenantInactive { code, .. } => (StatusCode::FORBIDDEN, code, "Tenant not in use"),
            Self::ActAsRequired => (StatusCode::FORBIDDEN, "act_as.required", "Not allowed"),
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
            Self::PayloadTooLarge(_) => (
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload.too_large",
                "Payload too large",
            ),
            Self::OfJob { error, .. } => error.kind(),
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
            Self::TenantState { .. } => (
                StatusCode::CONFLICT,
                "tenant.state",
                "Not possible in this state",
            ),
            Self::Precondition => (
                StatusCode::PRECONDITION_FAILED,
                "precondition.failed",
                "Changed since",
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
}

#[cfg(test)]
mod tests {
    use axum::{
        http::header,
        response::{IntoResponse, Response},
    };

    use super::*;
    use crate::problem::Problem;

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
                tenant_status: None,
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
