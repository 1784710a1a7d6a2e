//! `Idempotency-Key`: the same request again gets the same answer again.

use axum::{
    Json,
    extract::{FromRequestParts, MatchedPath},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use unity_shared::{db::DbError, tenancy::RecordedAnswer};

use crate::error::ApiError;

const NAME: &str = "idempotency-key";
const REPLAYED: &str = "idempotency-replayed";
const LENGTH_LIMIT: usize = 255;
/// The constraint that lets one of two equal requests through.
const CONSTRAINT: &str = "idempotency_keys_pkey";

/// The request's key, if it has one, and the route that it is for.
#[derive(Debug)]
pub struct Idempotency {
    key: Option<String>,
    method: Method,
    route: String,
}

/// A request that must have one effect however often it arrives.
#[derive(Debug, Clone)]
pub struct IdempotentRequest {
    /// The caller's name for it.
    pub key: String,
    fingerprint: Vec<u8>,
}

impl<S: Send + Sync> FromRequestParts<S> for Idempotency {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let route = MatchedPath::from_request_parts(parts, state)
            .await
            .map(|path| path.as_str().to_owned())
            .unwrap_or_default();
        Ok(Self {
            key: read_key(parts)?,
            method: parts.method.clone(),
            route,
        })
    }
}

fn read_key(parts: &Parts) -> Result<Option<String>, ApiError> {
    let refuse = |problem| ApiError::Header {
        name: "Idempotency-Key",
        problem,
    };
    let mut values = parts.headers.get_all(NAME).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(refuse("must be sent once"));
    }
    let visible = value.as_bytes().iter().all(u8::is_ascii_graphic);
    match value.to_str() {
        Ok(key) if visible && (1..=LENGTH_LIMIT).contains(&key.len()) => Ok(Some(key.to_owned())),
        Ok(_) | Err(_) => Err(refuse("must have 1 to 255 visible ASCII characters")),
    }
}

impl Idempotency {
    /// The request with its body; absent if the caller gave no key.
    pub fn request(self, raw_body: &[u8]) -> Option<IdempotentRequest> {
        let key = self.key?;
        let fingerprint = fingerprint(&self.method, &self.route, raw_body);
        Some(IdempotentRequest { key, fingerprint })
    }
}

/// SHA-256 over method, route and body. Neither of the first two can hold a line break.
fn fingerprint(method: &Method, route: &str, raw_body: &[u8]) -> Vec<u8> {
    Sha256::new()
        .chain_update(format!("{method}\n{route}\n"))
        .chain_update(raw_body)
        .finalize()
        .to_vec()
}

impl IdempotentRequest {
    /// The answer to keep. `response` must be free of one-time secrets.
    pub fn answer(
        &self,
        status: StatusCode,
        location: Option<&str>,
        response: Value,
    ) -> RecordedAnswer {
        RecordedAnswer {
            fingerprint: self.fingerprint.clone(),
            // A status has three digits.
            status: i16::try_from(status.as_u16()).unwrap_or(i16::MAX),
            location: location.map(str::to_owned),
            response,
        }
    }

    /// The kept answer again, if this is the request that got it.
    pub fn replay(&self, recorded: RecordedAnswer) -> Result<Response, ApiError> {
        if recorded.fingerprint != self.fingerprint {
            return Err(ApiError::IdempotencyMismatch);
        }
        let status = u16::try_from(recorded.status)
            .ok()
            .and_then(|code| StatusCode::from_u16(code).ok())
            .ok_or_else(|| ApiError::Defect("a kept answer has no HTTP status".to_owned()))?;
        let mut response = (status, Json(recorded.response)).into_response();
        let headers = response.headers_mut();
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
        if let Some(location) = recorded
            .location
            .and_then(|text| HeaderValue::try_from(text).ok())
        {
            headers.insert(header::LOCATION, location);
        }
        Ok(response)
    }

    /// Whether the transaction failed because a request with the same key was first: then its answer
    /// is there to be replayed.
    pub fn lost_race(error: &DbError) -> bool {
        error.constraint() == Some(CONSTRAINT)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;
    use serde_json::json;

    use super::*;

    fn key_of(values: &[&str]) -> Result<Option<String>, ApiError> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(NAME, *value);
        }
        read_key(&request.body(()).unwrap().into_parts().0)
    }

    fn request(body: &[u8]) -> IdempotentRequest {
        Idempotency {
            key: Some("k".to_owned()),
            method: Method::POST,
            route: "/r".to_owned(),
        }
        .request(body)
        .unwrap()
    }

    #[test]
    fn a_key_has_1_to_255_visible_characters_and_comes_once() {
        assert_eq!(key_of(&[]).unwrap(), None);
        assert_eq!(key_of(&["a"]).unwrap().as_deref(), Some("a"));
        assert!(key_of(&[&"k".repeat(255)]).is_ok());
        for bad in [
            &[""][..],
            &["a b"],
            &["é"],
            &["a", "a"],
            &[&"k".repeat(256)],
        ] {
            assert!(
                matches!(key_of(bad), Err(ApiError::Header { .. })),
                "{bad:?}"
            );
        }
    }

    #[test]
    fn a_fingerprint_tells_method_route_and_body_apart() {
        let one = fingerprint(&Method::POST, "/jobs", b"{}");
        assert_eq!(one, fingerprint(&Method::POST, "/jobs", b"{}"));
        assert_ne!(one, fingerprint(&Method::PUT, "/jobs", b"{}"));
        assert_ne!(one, fingerprint(&Method::POST, "/tenants", b"{}"));
        assert_ne!(one, fingerprint(&Method::POST, "/jobs", b"{ }"));
    }

    #[test]
    fn the_same_request_is_answered_again_and_another_is_refused() {
        let kept = request(b"1").answer(StatusCode::ACCEPTED, Some("/there"), json!({"a": 1}));
        let again = request(b"1").replay(kept.clone()).unwrap();
        assert_eq!(again.status(), StatusCode::ACCEPTED);
        assert_eq!(again.headers()[REPLAYED], "true");
        assert_eq!(again.headers()[header::LOCATION], "/there");
        assert!(matches!(
            request(b"2").replay(kept),
            Err(ApiError::IdempotencyMismatch)
        ));
    }
}
