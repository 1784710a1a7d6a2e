//! Everything on the public port.

use axum::{
    Router,
    body::Bytes,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::get,
};
use utoipa_swagger_ui::{Config, SwaggerUi};

use crate::{
    error::ApiError,
    invitation_page,
    middleware::{self, Surroundings},
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
    let surroundings = Surroundings {
        proxies: state.trusted_proxies(),
        addresses: state.addresses(),
    };
    let router = api
        .with_state(state)
        .merge(pages(document))
        .fallback(async || ApiError::NotFound)
        .method_not_allowed_fallback(async || ApiError::MethodNotAllowed);
    middleware::wrap(router, surroundings)
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
