//! Worker pools.

mod change;
mod list;

use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(Access::SystemAdmin, routes!(list::list_worker_pools))
        .route(Access::SystemAdmin, routes!(change::change_worker_pool))
}
