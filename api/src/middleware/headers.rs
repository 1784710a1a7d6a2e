//! Headers that keep browsers and caches from harm.

use axum::{
    extract::Request,
    http::{HeaderValue, header},
    response::Response,
};

use crate::invitation_page;

/// An answer of the API is data: a browser that opens it runs nothing and frames nothing.
const DATA_POLICY: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
/// A page of ours runs its own scripts and styles, and asks nobody else for anything.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
);

pub async fn set_security_headers<F: Future<Output = Response>>(
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let path = req.uri().path();
    let is_api = path.starts_with("/api/");
    let policy = if path.starts_with("/docs") || path.starts_with(invitation_page::PATH) {
        PAGE_POLICY
    } else {
        DATA_POLICY
    };
    let mut response = next(req).await;
    let headers = response.headers_mut();
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    );
    headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    if is_api {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
