//! Kinds of jobs.

mod list;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes.route(
        Access::TenantOrSystem(Role::TenantViewer),
        routes!(list::list_job_kinds),
    )
}
