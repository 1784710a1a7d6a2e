//! `If-Match`: a change that is meant for one version of an object and no other (RFC 9110, 13.1.1).

use axum::{
    extract::FromRequestParts,
    http::{header, request::Parts},
};

use crate::error::ApiError;

/// Which versions the caller means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IfMatch {
    /// Any, or none at all: the header is absent.
    Any,
    /// Any that there is: `*`.
    Existing,
    /// One of these, each as an `ETag` names it.
    OneOf(Vec<String>),
}

/// The strong `ETag` of a version.
pub fn etag(version: i64) -> String {
    format!("\"v{version}\"")
}

impl IfMatch {
    /// Refuses unless the object at `version` is meant.
    pub fn check(&self, version: i64) -> Result<(), ApiError> {
        match self {
            Self::Any | Self::Existing => Ok(()),
            Self::OneOf(tags) if tags.contains(&etag(version)) => Ok(()),
            Self::OneOf(_) => Err(ApiError::Precondition),
        }
    }

    /// Refuses unless an object that is not there can be meant.
    pub fn check_absent(&self) -> Result<(), ApiError> {
        match self {
            Self::Any => Ok(()),
            Self::Existing | Self::OneOf(_) => Err(ApiError::Precondition),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let mut tags = Vec::new();
        let mut any = true;
        for value in parts.headers.get_all(header::IF_MATCH) {
            let text = value.to_str().map_err(|_| malformed())?;
            for tag in text.split(',').map(str::trim).filter(|tag| !tag.is_empty()) {
                if tag == "*" {
                    return Ok(Self::Existing);
                }
                // A weak tag matches nothing: the comparison is the strong one.
                if !is_tag(tag.strip_prefix("W/").unwrap_or(tag)) {
                    return Err(malformed());
                }
                tags.push(tag.to_owned());
            }
            any = false;
        }
        match (any, tags.is_empty()) {
            (true, _) => Ok(Self::Any),
            (false, true) => Err(malformed()),
            (false, false) => Ok(Self::OneOf(tags)),
        }
    }
}

fn is_tag(text: &str) -> bool {
    text.len() >= 2
        && text.starts_with('"')
        && text.ends_with('"')
        && text.matches('"').count() == 2
}

const fn malformed() -> ApiError {
    ApiError::Header {
        name: "If-Match",
        problem: "must be * or a list of ETags, each in double quotes",
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    async fn read(values: &[&str]) -> Result<IfMatch, ApiError> {
        let mut request = Request::builder();
        for value in values {
            request = request.header(header::IF_MATCH, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        IfMatch::from_request_parts(&mut parts, &()).await
    }

    #[tokio::test]
    async fn no_header_and_a_star_mean_any_version_and_a_star_means_that_there_is_one() {
        let none = read(&[]).await.unwrap();
        assert!(none.check(7).is_ok() && none.check_absent().is_ok());
        for values in [&["*"][..], &["\"v1\", *"]] {
            let star = read(values).await.unwrap();
            assert!(star.check(7).is_ok() && star.check_absent().is_err());
        }
        assert!(read(&["\"v0\""]).await.unwrap().check_absent().is_err());
    }

    #[tokio::test]
    async fn only_a_strong_tag_of_the_version_matches() {
        for (values, matches) in [
            (&["\"v7\""][..], true),
            (&["\"v6\", \"v7\""], true),
            (&["\"v6\"", "\"v7\""], true),
            (&["W/\"v7\""], false),
            (&["\"v70\""], false),
            (&["\"7\""], false),
        ] {
            let meant = read(values).await.unwrap();
            assert_eq!(meant.check(7).is_ok(), matches, "{values:?}");
        }
    }

    #[tokio::test]
    async fn what_is_no_list_of_tags_is_refused() {
        for value in ["", " , ", "v7", "\"v7", "\"", "\"a\"b\"", "W/v7"] {
            assert!(matches!(read(&[value]).await, Err(ApiError::Header { .. })));
        }
    }
}
