//! Everything on the public port.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    middleware::from_fn_with_state,
    response::IntoResponse,
    routing::get,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    error::ApiError,
    invitation_page,
    limits::limit_address,
    middleware::{self, find_source_address},
    openapi,
    state::ApiState,
};

const DOCUMENT_PATH: &str = "/openapi.json";
const DOCUMENT_TYPE: HeaderValue = HeaderValue::from_static("application/json");

/// The routes of [`crate::openapi()`], the document itself and the page that shows it, behind the
/// middleware. Unknown paths and methods are answered as problems.
pub fn router(state: ApiState) -> Router {
    let (api, document) = openapi::describe(Some(state.clone())).split_for_parts();
    let document = Bytes::from(serde_json::to_vec(&document).unwrap_or_default());
    let limits = from_fn_with_state(state.clone(), limit_address);
    let proxies = state.trusted_proxies();
    let router = api
        .with_state(state)
        .merge(pages(document))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed)
        .layer(limits)
        .layer(from_fn_with_state(proxies, find_source_address));
    middleware::wrap(router)
}

fn pages(document: Bytes) -> Router {
    let serve_document =
        async move || ([(header::CONTENT_TYPE, DOCUMENT_TYPE)], document.clone()).into_response();
    // Without this the page asks a public server whether our document is valid.
    let config = Config::new([DOCUMENT_PATH])
        .validator_url("none")
        .try_it_out_enabled(true);
    Router::new()
        .route(DOCUMENT_PATH, get(serve_document))
        .merge(invitation_page::routes())
        .merge(SwaggerUi::new("/docs").config(config))
}
