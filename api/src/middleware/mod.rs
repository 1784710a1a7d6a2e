//! What happens to every request, whatever its route.

mod drain_body;
mod headers;
mod panics;
mod render;
mod request_id;
mod source_address;
mod time_limit;
mod trace;

use axum::{Router, middleware::from_fn};
use tower::ServiceBuilder;

pub use request_id::CurrentRequestId;
pub use source_address::{SourceAddress, find_source_address};

/// Wraps the router; the first layer is the outermost. The id comes first because everything speaks
/// of it; the trace sees the status that leaves; panics and time limits are errors like others, so
/// they lie inside of what renders errors. The body is drained outside of all that may refuse it
/// unread.
pub fn wrap(router: Router) -> Router {
    router.layer(
        ServiceBuilder::new()
            .layer(from_fn(request_id::give_id))
            .layer(from_fn(trace::trace))
            .layer(from_fn(drain_body::drain_body))
            .layer(from_fn(headers::set_security_headers))
            .layer(from_fn(render::render_problems))
            .layer(from_fn(panics::answer_panics))
            .layer(from_fn(time_limit::limit_time)),
    )
}

#[cfg(test)]
mod tests {
    use axum::{
        body::{Body, to_bytes},
        http::{Method, Request, StatusCode, header},
        response::Response,
        routing::get,
    };
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;
    use crate::error::ApiError;

    async fn ask(method: Method, path: &str) -> (Response<()>, Value) {
        let router = Router::new()
            .route(
                "/api/panic",
                get(async || -> &'static str { panic!("a secret of ours") }),
            )
            .route(
                "/api/never",
                get(async || std::future::pending::<&'static str>().await),
            )
            .fallback(async || ApiError::NotFound)
            .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("x-request-id", "invented by the client")
            .body(Body::empty())
            .unwrap();
        let (parts, body) = wrap(router).oneshot(request).await.unwrap().into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        (
            Response::from_parts(parts, ()),
            serde_json::from_slice(&bytes).unwrap(),
        )
    }

    #[tokio::test]
    async fn an_error_tells_the_request_and_our_id_of_it() {
        let (response, body) = ask(Method::GET, "/api/nothing?key=secret").await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(
            response.headers()[header::X_CONTENT_TYPE_OPTIONS],
            "nosniff"
        );
        assert_eq!(body["type"], "/problems/not_found");
        assert_eq!(body["status"], 404);
        assert_eq!(body["instance"], "/api/nothing");
        let id = body["request_id"].as_str().unwrap();
        assert_eq!(response.headers()["x-request-id"], id);
        assert!(id.parse::<unity_shared::ids::RequestId>().is_ok());
    }

    #[tokio::test]
    async fn a_wrong_method_is_told_the_right_ones() {
        let (response, body) = ask(Method::DELETE, "/api/panic").await;
        assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(response.headers()[header::ALLOW], "GET,HEAD");
        assert_eq!(body["code"], "method.not_allowed");
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_and_keeps_its_secret() {
        let (response, body) = ask(Method::GET, "/api/panic").await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(body["code"], "internal");
        assert!(!body.to_string().contains("secret"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_takes_for_ever_is_given_up() {
        let (response, body) = ask(Method::GET, "/api/never").await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[header::RETRY_AFTER], "1");
        assert_eq!(body["code"], "timeout");
    }
}
