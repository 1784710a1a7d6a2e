//! What the caller reads of an error: our own words, and where in the body the trouble is.

use super::ApiError;
use crate::problem::FieldError;

/// What the outside is told when the trouble is inside.
const INTERNAL: &str = "the server could not answer; its log has the reason under this request_id";
const UNAVAILABLE: &str = "a part that the server depends on does not answer; try again shortly";

impl ApiError {
    /// What the caller reads: our own words, never an inner error's.
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Gate(_) => UNAVAILABLE.to_owned(),
            Self::Database(error) if error.retryable() => UNAVAILABLE.to_owned(),
            Self::Database(_) | Self::Password(_) | Self::Defect(_) => INTERNAL.to_owned(),
            Self::OfJob { place, error } => format!("job {place} of the batch: {}", error.detail()),
            Self::Unauthenticated
            | Self::LoginFailed
            | Self::RefreshInvalid
            | Self::RefreshRaced
            | Self::TenantAmbiguous(_)
            | Self::TooManyAttempts { .. }
            | Self::Overloaded
            | Self::MustChangePassword
            | Self::SessionRequired
            | Self::ActingForbidden
            | Self::ScopeInsufficient(_)
            | Self::Entry(_)
            | Self::TenantInactive { .. }
            | Self::ActAsRequired
            | Self::TenantRequired
            | Self::RoleInsufficient(_)
            | Self::NotFound
            | Self::MethodNotAllowed
            | Self::BodyTooLarge(_)
            | Self::PayloadTooLarge(_)
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
            | Self::TenantState { .. }
            | Self::Precondition
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
            Self::OfJob { place, error } => of_job(*place, error),
            Self::PayloadTooLarge(_) => vec![FieldError {
                pointer: "/payload".to_owned(),
                code: "size",
                detail: self.to_string(),
            }],
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
            Self::TenantAmbiguous(tenants) => tenants
                .iter()
                .map(|tenant| FieldError {
                    pointer: "/tenant_id".to_owned(),
                    code: "choice",
                    detail: tenant.to_string(),
                })
                .collect(),
            Self::Unauthenticated
            | Self::LoginFailed
            | Self::RefreshInvalid
            | Self::RefreshRaced
            | Self::TooManyAttempts { .. }
            | Self::Overloaded
            | Self::MustChangePassword
            | Self::SessionRequired
            | Self::ActingForbidden
            | Self::ScopeInsufficient(_)
            | Self::Entry(_)
            | Self::TenantInactive { .. }
            | Self::ActAsRequired
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
            | Self::TenantState { .. }
            | Self::Precondition
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

/// The faults of a job under its place in the body; where none has a place of its own, the job as a whole.
fn of_job(place: usize, error: &ApiError) -> Vec<FieldError> {
    let mut faults = error.errors();
    if faults.is_empty() {
        faults.push(FieldError {
            pointer: String::new(),
            code: error.kind().1,
            detail: error.detail(),
        });
    }
    for fault in &mut faults {
        fault.pointer = format!("/jobs/{place}{}", fault.pointer);
    }
    faults
}
