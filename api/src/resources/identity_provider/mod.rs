//! A tenant's own identity provider. Its secret goes in and never comes out.

mod order;
mod set;
mod view;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    let manages = Access::TenantOrSystem(Role::TenantAdmin);
    routes
        .route_to_grant(manages, routes!(set::put_identity_provider))
        .route(manages, routes!(view::get_identity_provider))
        .route(manages, routes!(set::delete_identity_provider))
}
