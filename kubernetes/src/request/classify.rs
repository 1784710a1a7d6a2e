//! From an API server's refusal to the error that says what it means.
//!
//! Decided by status code and by the machine-readable causes in the `Status` object, never by the
//! words of its message.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header::RETRY_AFTER};
use kube::core::Status;

use crate::error::RequestError;

/// The longest wait that a server may ask for: a confused one must not park a job for a day.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(10);

/// The longest part of the server's words that is kept, in characters.
const MAX_MESSAGE_CHARS: usize = 300;

/// What an answer that is no success means.
pub(super) fn refusal(code: StatusCode, headers: &HeaderMap, body: &[u8]) -> RequestError {
    // A proxy in between answers with a page of HTML: no status, so no words and no causes.
    let status: Status = serde_json::from_slice(body).unwrap_or_default();
    let message = one_line(&status.message);
    match code {
        StatusCode::UNAUTHORIZED => RequestError::Unauthorized { message },
        StatusCode::FORBIDDEN if has_cause(&status, "NamespaceTerminating") => {
            RequestError::NamespaceTerminating
        }
        StatusCode::FORBIDDEN => RequestError::Forbidden { message },
        StatusCode::NOT_FOUND if is_about_a_namespace(&status) => RequestError::NamespaceMissing,
        StatusCode::NOT_FOUND => RequestError::NotFound { message },
        StatusCode::CONFLICT if has_cause(&status, "FieldManagerConflict") => {
            RequestError::FieldOwned { message }
        }
        StatusCode::CONFLICT => RequestError::Conflict { message },
        StatusCode::UNPROCESSABLE_ENTITY => RequestError::Invalid { message },
        StatusCode::TOO_MANY_REQUESTS => RequestError::Throttled {
            message,
            retry_after: retry_after(headers, &status),
        },
        code if code == StatusCode::REQUEST_TIMEOUT || code.is_server_error() => {
            let retry_after = retry_after(headers, &status);
            RequestError::Unavailable {
                status: code,
                message,
                retry_after,
            }
        }
        code => RequestError::Refused {
            status: code,
            message,
        },
    }
}

fn has_cause(status: &Status, reason: &str) -> bool {
    status
        .details
        .as_ref()
        .is_some_and(|details| details.causes.iter().any(|cause| cause.reason == reason))
}

fn is_about_a_namespace(status: &Status) -> bool {
    status
        .details
        .as_ref()
        .is_some_and(|details| details.kind == "namespaces" && details.group.is_empty())
}

/// The header in seconds, or the same number in the body. A date in the header is not understood:
/// API servers do not send one.
fn retry_after(headers: &HeaderMap, status: &Status) -> Option<Duration> {
    let from_header = headers
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(|text| text.trim().parse().ok());
    let from_body = || {
        let seconds = status
            .details
            .as_ref()
            .map_or(0, |details| details.retry_after_seconds);
        (seconds > 0).then(|| u64::from(seconds))
    };
    let seconds: u64 = from_header.or_else(from_body)?;
    Some(Duration::from_secs(seconds).min(MAX_RETRY_AFTER))
}

/// The server's words as one bounded line: they end in logs and in a job's error.
fn one_line(text: &str) -> String {
    text.chars()
        .take(MAX_MESSAGE_CHARS)
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect()
}
