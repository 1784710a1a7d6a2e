//! From an error to the answer: status, headers, and the problem that the middleware writes out.

use std::sync::Arc;

use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use unity_shared::{
    db::DbError,
    queue::GateError,
    telemetry::chain,
    tenancy::{QuotaError, QuotaFull},
};

use super::ApiError;
use crate::{
    limits::whole_seconds,
    problem::{Problem, QuotaUse},
};

/// A client that tries again sooner than this many seconds makes things worse.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");

impl From<DbError> for ApiError {
    fn from(error: DbError) -> Self {
        Self::Database(Arc::new(error))
    }
}

impl From<QuotaError> for ApiError {
    fn from(error: QuotaError) -> Self {
        match error {
            QuotaError::Full(QuotaFull { quota, limit, used }) => Self::QuotaExceeded {
                name: quota.name(),
                limit,
                used,
            },
            QuotaError::NoTenant => Self::NotFound,
            QuotaError::NotTaken => Self::Defect(error.to_string()),
            QuotaError::Database(error) => error.into(),
        }
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
        let quota = match self {
            Self::QuotaExceeded { name, limit, used } => Some(QuotaUse { name, limit, used }),
            _ => None,
        };
        let job_status = match self {
            Self::JobState { status, .. } => Some(status),
            _ => None,
        };
        let retry_after = match &self {
            Self::TooManyAttempts { retry_after } => Some(HeaderValue::from(retry_after.as_secs())),
            Self::RateLimited { retry_after, .. } => {
                Some(HeaderValue::from(whole_seconds(*retry_after).max(1)))
            }
            _ => None,
        };
        let tenant_status = match self {
            Self::TenantState { status, .. } => Some(status),
            _ => None,
        };
        let problem = Problem {
            code: code.into(),
            title,
            detail: self.detail(),
            errors: self.errors(),
            quota,
            job_status,
            tenant_status,
        };
        let mut response = status.into_response();
        if let Some((name, value)) = extra_header(status) {
            response.headers_mut().insert(name, value);
        }
        if let Some(seconds) = retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response.extensions_mut().insert(problem);
        response
    }
}
