//! The query string, read into a type that names every parameter the route takes.

use axum::{
    extract::{FromRequestParts, Query},
    http::request::Parts,
};
use serde::de::DeserializeOwned;

use super::own_words::own_words;
use crate::{error::ApiError, violations::shorten};

/// The parameters of a route. `T` must deny unknown fields.
#[derive(Debug)]
pub struct QueryParameters<T>(pub T);

/// What axum says before it comes to the point.
const PREAMBLE: &str = "Failed to deserialize query string: ";

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for QueryParameters<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(value)) => Ok(Self(value)),
            Err(rejection) => Err(ApiError::Query(to_the_point(&rejection.body_text()))),
        }
    }
}

/// A route that takes no parameters: any is refused, since a misspelt filter that is ignored would
/// answer another question than the one asked.
#[derive(Debug)]
pub struct NoParameters;

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<S: Send + Sync> FromRequestParts<S> for NoParameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let QueryParameters(Nothing {}) = QueryParameters::from_request_parts(parts, state).await?;
        Ok(Self)
    }
}

fn to_the_point(rejection: &str) -> String {
    let told = rejection.strip_prefix(PREAMBLE).unwrap_or(rejection);
    shorten(&own_words(told))
}
