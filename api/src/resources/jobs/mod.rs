//! Jobs.

mod attempts;
mod bulk;
mod bulk_cancel;
mod bulk_retry;
mod cancel;
mod create;
mod create_batch;
mod find;
mod get;
mod list;
mod order;
mod reason;
mod repeat;
mod retry;
mod view;
mod why;
mod write;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

pub use find::tenant_to_search;
pub use repeat::{find_before, keep, or_before};
pub use view::{JobView, accepted, address};

/// The routes of this resource, each with its rule. A kind may ask for a higher role than the rule
/// of `POST /jobs`.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(
            Access::Tenant(Role::TenantMember),
            routes!(create::create_job),
        )
        .route(
            Access::Tenant(Role::TenantMember),
            routes!(create_batch::create_batch),
        )
        .route(Access::Tenant(Role::TenantViewer), routes!(list::list_jobs))
        .route(
            Access::TenantOrPlatformsJobs(Role::TenantViewer),
            routes!(get::get_job),
        )
        .route(
            Access::TenantOrPlatformsJobs(Role::TenantViewer),
            routes!(attempts::list_job_attempts),
        )
        .route(
            Access::TenantOrSystem(Role::TenantViewer),
            routes!(why::why_job),
        )
        .route(
            Access::TenantOrPlatformsJobs(Role::TenantMember),
            routes!(cancel::cancel_job),
        )
        .route(
            Access::TenantOrPlatformsJobs(Role::TenantMember),
            routes!(retry::retry_job),
        )
        .route(
            Access::Tenant(Role::TenantMember),
            routes!(bulk_cancel::cancel_jobs),
        )
        .route(
            Access::Tenant(Role::TenantMember),
            routes!(bulk_retry::retry_jobs),
        )
}
