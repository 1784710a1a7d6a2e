//! The id in a path.

use std::str::FromStr;

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use unity_shared::{
    fleet::is_pool_name,
    ids::{ActAsId, ApiKeyId, InvitationId, JobId, SwitchId, TenantId, UserId},
};

use crate::error::ApiError;

/// The path's one parameter. A text that cannot be an id is answered as an id that nobody has: the
/// caller learns nothing from the difference.
#[derive(Debug)]
pub struct PathId<T>(pub T);

/// An id that stands in a path.
pub trait PathSegment: Sized {
    /// Reads the segment in its canonical form; absent = no such id can exist.
    fn read(text: &str) -> Option<Self>;
}

impl PathSegment for JobId {
    fn read(text: &str) -> Option<Self> {
        canonical(text)
    }
}

impl PathSegment for InvitationId {
    fn read(text: &str) -> Option<Self> {
        canonical(text)
    }
}

impl PathSegment for UserId {
    fn read(text: &str) -> Option<Self> {
        canonical(text)
    }
}

impl PathSegment for ApiKeyId {
    fn read(text: &str) -> Option<Self> {
        canonical(text)
    }
}

impl PathSegment for SwitchId {
    fn read(text: &str) -> Option<Self> {
        canonical(text)
    }
}

impl PathSegment for ActAsId {
    fn read(text: &str) -> Option<Self> {
        canonical(text)
    }
}

/// The name of a worker pool.
#[derive(Debug)]
pub struct PoolName(pub String);

impl PathSegment for PoolName {
    fn read(text: &str) -> Option<Self> {
        is_pool_name(text).then(|| Self(text.to_owned()))
    }
}

/// The parser also takes braces, `urn:uuid:` and no hyphens; one thing has one address.
fn canonical<T: FromStr + ToString>(text: &str) -> Option<T> {
    let id = T::from_str(text).ok()?;
    id.to_string().eq_ignore_ascii_case(text).then_some(id)
}

impl PathSegment for TenantId {
    fn read(text: &str) -> Option<Self> {
        Self::parse(text).ok()
    }
}

impl<T: PathSegment, S: Send + Sync> FromRequestParts<S> for PathId<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Path(text)) = Path::<String>::from_request_parts(parts, state).await else {
            return Err(ApiError::NotFound);
        };
        T::read(&text).map(Self).ok_or(ApiError::NotFound)
    }
}

/// The path's two parameters, in their order.
#[derive(Debug)]
pub struct PathIds<A, B>(pub A, pub B);

impl<A: PathSegment, B: PathSegment, S: Send + Sync> FromRequestParts<S> for PathIds<A, B> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Ok(Path((outer, inner))) =
            Path::<(String, String)>::from_request_parts(parts, state).await
        else {
            return Err(ApiError::NotFound);
        };
        match (A::read(&outer), B::read(&inner)) {
            (Some(outer), Some(inner)) => Ok(Self(outer, inner)),
            (None, _) | (_, None) => Err(ApiError::NotFound),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_has_one_address() {
        let id = JobId::new();
        let text = id.to_string();
        assert_eq!(JobId::read(&text), Some(id));
        assert_eq!(JobId::read(&text.to_uppercase()), Some(id));
        for other in [
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            String::new(),
        ] {
            assert_eq!(JobId::read(&other), None, "{other}");
        }
    }
}
