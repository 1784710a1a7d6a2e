//! The least that an answer costs here: what every route's speed is to be seen against.

use axum::{Router, routing::get};

/// A router with one route, `GET /`, that answers with two bytes and does nothing else: no layers, no
/// state, nobody is asked who they are.
pub fn bare_route() -> Router {
    Router::new().route("/", get(async || "ok"))
}
