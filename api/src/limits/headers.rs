//! What a caller is told about its limits: `RateLimit-Policy` and `RateLimit`
//! (draft-ietf-httpapi-ratelimit-headers, structured fields).

use std::time::Duration;

use axum::{
    http::{HeaderName, HeaderValue},
    response::Response,
};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// How a caller stands with one limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The limit: `address`, `key` or `tenant`.
    pub name: &'static str,
    /// Calls in a window.
    pub quota: u32,
    /// The window.
    pub window: Duration,
    /// Calls that are left now.
    pub left: u32,
    /// Until there are more.
    pub reset: Duration,
}

/// Writes how the caller stands into an answer.
pub fn write_standing(response: &mut Response, standings: &[Standing]) {
    let (mut policy, mut limit) = (String::with_capacity(64), String::with_capacity(64));
    for standing in standings {
        let Standing {
            name,
            quota,
            window,
            left,
            reset,
        } = standing;
        if !policy.is_empty() {
            policy.push_str(", ");
            limit.push_str(", ");
        }
        write_item(
            &mut policy,
            name,
            ("q", u64::from(*quota)),
            ("w", window.as_secs()),
        );
        write_item(
            &mut limit,
            name,
            ("r", u64::from(*left)),
            ("t", whole_seconds(*reset)),
        );
    }
    for (name, text) in [(POLICY, policy), (LIMIT, limit)] {
        if let Ok(value) = HeaderValue::try_from(text) {
            response.headers_mut().insert(name, value);
        }
    }
}

/// `"name";a=1;b=2`. Every answer has four of these, so they are not formatted but put together.
fn write_item(list: &mut String, name: &str, first: (&str, u64), second: (&str, u64)) {
    list.push('"');
    list.push_str(name);
    list.push('"');
    for (parameter, value) in [first, second] {
        list.push(';');
        list.push_str(parameter);
        list.push('=');
        list.push_str(itoa::Buffer::new().format(value));
    }
}

/// Seconds, rounded up: who comes back then is not too early.
pub fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

/// Whether an answer tells already.
pub fn is_told(response: &Response) -> bool {
    response.headers().contains_key(&LIMIT)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse;

    use super::*;

    #[test]
    fn each_limit_is_an_item_of_both_lists() {
        let standing = |name, quota, window| Standing {
            name,
            quota,
            window: Duration::from_secs(window),
            left: 3,
            reset: Duration::from_millis(1500),
        };
        let mut response = ().into_response();
        write_standing(
            &mut response,
            &[standing("key", 20, 1), standing("tenant", 1000, 3600)],
        );
        assert_eq!(
            response.headers()[POLICY],
            "\"key\";q=20;w=1, \"tenant\";q=1000;w=3600"
        );
        assert_eq!(
            response.headers()[LIMIT],
            "\"key\";r=3;t=2, \"tenant\";r=3;t=2"
        );
        assert!(is_told(&response));
    }
}
