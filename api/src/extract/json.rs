//! A JSON body: right content type, not too large, exactly the fields that the route takes.

use axum::body::Bytes;
use axum::{
    body::Body,
    extract::{FromRequest, Request},
    http::{HeaderMap, Method, header},
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::error::Category;
use serde_path_to_error::{Path, Segment};

use super::own_words::own_words;
use crate::{
    error::ApiError,
    problem::FieldError,
    violations::{escape_segment, shorten},
};

/// Largest body of a request, in bytes, unless the route says otherwise.
const BODY_LIMIT_BYTES: usize = 1024 * 1024;

/// A body of type `T` and at most `LIMIT` bytes, and the bytes that it was read from.
#[derive(Debug)]
pub struct JsonBody<T, const LIMIT: usize = BODY_LIMIT_BYTES> {
    /// What was sent.
    pub value: T,
    /// As it was sent.
    pub raw: Bytes,
}

impl<T: DeserializeOwned, S: Send + Sync, const LIMIT: usize> FromRequest<S>
    for JsonBody<T, LIMIT>
{
    type Rejection = ApiError;

    async fn from_request(req: Request, _: &S) -> Result<Self, ApiError> {
        if !is_json(req.headers(), req.method()) {
            return Err(ApiError::ContentType);
        }
        if stated_length(req.headers()).is_some_and(|length| length > LIMIT) {
            return Err(ApiError::BodyTooLarge(LIMIT));
        }
        let raw = read(req.into_body(), LIMIT).await?;
        Ok(Self {
            value: parse(&raw)?,
            raw,
        })
    }
}

async fn read(body: Body, limit: usize) -> Result<Bytes, ApiError> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(ApiError::BodyTooLarge(limit)),
        Err(_) => Err(fault("", "syntax", "the body broke off")),
    }
}

/// `application/json`, with no parameter or with `charset=utf-8` (RFC 8259 knows no other); for a PATCH
/// also the media type of RFC 7396.
fn is_json(headers: &HeaderMap, method: &Method) -> bool {
    let Some(Ok(value)) = headers
        .get(header::CONTENT_TYPE)
        .map(|value| value.to_str())
    else {
        return false;
    };
    let mut parts = value.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|kind| {
        kind.eq_ignore_ascii_case("application/json")
            || (*method == Method::PATCH
                && kind.eq_ignore_ascii_case("application/merge-patch+json"))
    });
    is_json
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, charset)) if name.eq_ignore_ascii_case("charset") => {
                charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            Some(_) => true,
            None => parameter.is_empty(),
        })
}

fn stated_length(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

fn parse<T: DeserializeOwned>(raw: &[u8]) -> Result<T, ApiError> {
    // A derived type would take an array too, its items as the fields in their order.
    if raw.trim_ascii_start().first() != Some(&b'{') {
        return Err(match serde_json::from_slice::<IgnoredAny>(raw) {
            Ok(_) => fault("", "form", "the body must be a JSON object"),
            Err(error) => not_json(&error),
        });
    }
    let mut json = serde_json::Deserializer::from_slice(raw);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let pointer = pointer(error.path());
        let inner = error.into_inner();
        match inner.classify() {
            Category::Data => fault(pointer, "form", &own_words(&inner.to_string())),
            Category::Io | Category::Syntax | Category::Eof => not_json(&inner),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> ApiError {
    fault("", "syntax", &format!("the body is not JSON: {error}"))
}

fn fault(pointer: impl Into<String>, code: &'static str, detail: &str) -> ApiError {
    ApiError::Body(FieldError {
        pointer: pointer.into(),
        code,
        detail: shorten(detail),
    })
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => {
                pointer.push('/');
                pointer.push_str(&index.to_string());
            }
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&escape_segment(key));
            }
            Segment::Enum { .. } | Segment::Unknown => {}
        }
    }
    pointer
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(rename = "count")]
        _count: u32,
        #[serde(default, rename = "inner")]
        _inner: Option<Box<Order>>,
    }

    fn refusal(body: &str) -> FieldError {
        match parse::<Order>(body.as_bytes()) {
            Err(ApiError::Body(error)) => error,
            other => panic!("{body} was answered with {other:?}"),
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_place() {
        let error = refusal(r#"{"count": 1, "inner": {"count": 2, "a/b": 3}}"#);
        assert_eq!(
            (error.pointer.as_str(), error.code),
            ("/inner/a~1b", "form")
        );
    }

    #[test]
    fn a_wrong_type_is_refused_with_its_place() {
        assert_eq!(refusal(r#"{"count": "many"}"#).pointer, "/count");
    }

    #[test]
    fn a_syntax_error_is_refused_with_line_and_column() {
        for (body, place) in [
            ("{\n\"count\": }", "line 2 column 10"),
            ("{\"count\": 1} x", "line 1 column 14"),
            ("hello", "line 1 column 1"),
            ("", "line 1 column 0"),
        ] {
            let error = refusal(body);
            assert!(error.detail.contains(place), "{body}: {}", error.detail);
            assert_eq!(error.code, "syntax", "{body}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_refused() {
        for body in ["[1, null]", "1", "null", " \"text\""] {
            assert_eq!(
                refusal(body).detail,
                "the body must be a JSON object",
                "{body}"
            );
        }
    }

    #[test]
    fn a_body_that_is_nested_without_end_is_refused() {
        for deep in ["[".repeat(100_000), "{\"inner\":".repeat(100_000)] {
            assert_eq!(refusal(&deep).code, "syntax");
        }
    }

    #[test]
    fn only_json_in_utf_8_is_json() {
        let judge = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers, &Method::POST)
        };
        for good in [
            "application/json",
            "Application/JSON; charset=UTF-8",
            "application/json;charset=\"utf-8\"",
        ] {
            assert!(judge(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/json; charset=latin1",
            "application/jsonx",
            "",
        ] {
            assert!(!judge(bad), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new(), &Method::POST));
    }
}
