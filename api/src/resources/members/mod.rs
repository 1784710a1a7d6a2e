//! Members of a tenant. Nobody is made a member by somebody else's word: they are invited.

mod change;
mod get;
mod invite;
mod list;
mod remove;
mod view;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    let reads = Access::TenantOrSystem(Role::TenantViewer);
    let manages = Access::TenantOrSystem(Role::TenantAdmin);
    routes
        .route_to_grant(manages, routes!(invite::invite_member))
        .route(reads, routes!(list::list_members))
        .route(reads, routes!(get::get_member))
        .route_to_grant(manages, routes!(change::change_member))
        .route(manages, routes!(remove::remove_member))
}
