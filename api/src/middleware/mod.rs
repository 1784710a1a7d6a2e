//! What happens to every request, whatever its route.

mod drain_body;
mod headers;
mod panics;
mod render;
mod request_id;
mod source_address;
mod time_limit;
mod trace;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{Next, from_fn_with_state},
    response::Response,
};
use unity_shared::config::Network;

use crate::limits::{Addresses, limit_address};

pub use request_id::CurrentRequestId;
pub use source_address::SourceAddress;

/// What the middleware has to know.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// Proxies whose word about where a request comes from is believed.
    pub proxies: Arc<[Network]>,
    /// The limits of source addresses; absent = there are none.
    pub addresses: Option<Arc<Addresses>>,
}

/// Surrounds every route. One layer and not ten: axum keeps each layer's inside on the heap, and copies
/// it for every request.
pub fn wrap(router: Router, surroundings: Surroundings) -> Router {
    router.layer(from_fn_with_state(surroundings, surround))
}

/// The first step is the outermost. The id comes first because everything speaks of it; the trace sees
/// the status that leaves; panics and time limits are errors like others, so they lie inside of what
/// renders errors. The body is drained outside of all that may refuse it unread.
async fn surround(State(around): State<Surroundings>, req: Request, next: Next) -> Response {
    let limited = |req| limit_address(around.addresses, req, |req| next.run(req));
    let located = |req| limited(source_address::find_source_address(&around.proxies, req));
    let in_time = |req| time_limit::limit_time(req, located);
    let without_panic = |req| panics::answer_panics(req, in_time);
    let rendered = |req| render::render_problems(req, without_panic);
    let with_headers = |req| headers::set_security_headers(req, rendered);
    let drained = |req| drain_body::drain_body(req, with_headers);
    let traced = |req| trace::trace(req, drained);
    request_id::give_id(req, traced).await
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
        let surroundings = Surroundings {
            proxies: Arc::default(),
            addresses: None,
        };
        let (parts, body) = wrap(router, surroundings)
            .oneshot(request)
            .await
            .unwrap()
            .into_parts();
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
