//! Logging in and out, and who one is.

mod create_token;
mod jwks;
mod logout;
mod me;
mod password;
mod refresh;
mod refused;

use utoipa_axum::routes;

use crate::auth::{Access, Routes};

pub use create_token::count;

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(Access::Public, routes!(create_token::create_token))
        .route(Access::Public, routes!(refresh::refresh_token))
        .route(Access::Session, routes!(logout::log_out))
        .route(Access::Session, routes!(password::change_password))
        .route(Access::Authenticated, routes!(me::get_me))
}

/// What other programs look for outside of the API's prefix.
pub fn register_at_root(routes: Routes) -> Routes {
    routes.route(Access::Public, routes!(jwks::get_jwks))
}
