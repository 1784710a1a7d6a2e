//! The page that the link in an invitation's mail opens.
//!
//! The code is behind the `#` of the address, which a browser sends to nobody: it is in no log. The
//! page runs its own script alone and asks nobody but the API.

use axum::{
    Router,
    http::{HeaderValue, header},
    response::IntoResponse,
    routing::get,
};

/// Everything of the page is below this path.
pub const PATH: &str = "/invitation";

const HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
const SCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");

/// The page and its script.
pub fn routes() -> Router {
    let page = async || ([(header::CONTENT_TYPE, HTML)], include_str!("page.html")).into_response();
    let script =
        async || ([(header::CONTENT_TYPE, SCRIPT)], include_str!("page.js")).into_response();
    Router::new()
        .route(PATH, get(page))
        .route("/invitation/page.js", get(script))
}
