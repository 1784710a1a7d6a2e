//! Tenants.

mod change;
mod create;
mod get;
mod job_limits;
mod life;
mod list;
mod order;
mod purge;
mod usage;
mod view;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

pub use view::Refused;

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(Access::SystemAdmin, routes!(create::create_tenant))
        .route(Access::SystemAdmin, routes!(list::list_tenants))
        .route(
            Access::TenantOrSystem(Role::TenantViewer),
            routes!(get::get_tenant),
        )
        .route(
            Access::TenantOrSystem(Role::TenantViewer),
            routes!(job_limits::get_job_limits),
        )
        .route(Access::SystemAdmin, routes!(job_limits::put_job_limits))
        .route(
            Access::TenantOrSystem(Role::TenantAdmin),
            routes!(change::change_tenant),
        )
        .route(Access::SystemAdmin, routes!(life::suspend_tenant))
        .route(Access::SystemAdmin, routes!(life::resume_tenant))
        .route(Access::SystemAdmin, routes!(life::delete_tenant))
        .route(Access::SystemAdmin, routes!(life::restore_tenant))
        .route(Access::SystemAdmin, routes!(purge::purge_tenant))
        .route(
            Access::TenantOrSystem(Role::TenantViewer),
            routes!(usage::get_usage),
        )
}
