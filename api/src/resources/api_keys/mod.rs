//! API keys: made, listed and revoked by whoever manages their tenant, or the platform.

mod create;
mod get;
mod list;
mod order;
mod revoke;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// A tenant's administrators manage its keys, system administrators the platform's.
const RULE: Access = Access::TenantOrSystem(Role::TenantAdmin);

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route_to_grant(RULE, routes!(create::create_api_key))
        .route(RULE, routes!(list::list_api_keys))
        .route(RULE, routes!(get::get_api_key))
        .route(RULE, routes!(revoke::revoke_api_key))
}
