//! Worker processes.

mod list;

use utoipa_axum::routes;

use crate::auth::{Access, Routes};

pub use list::alive_since;

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes.route(Access::SystemAdmin, routes!(list::list_workers))
}
