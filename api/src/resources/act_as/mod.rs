//! System administrators inside a tenant: for minutes, with a reason, and told to the tenant.

mod begin;
mod end;
mod list;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(Access::SystemAdmin, routes!(begin::begin_act_as))
        .route(
            Access::TenantOrSystem(Role::TenantAdmin),
            routes!(list::list_act_as),
        )
        .route(Access::SystemAdmin, routes!(end::end_act_as))
}
