//! Events, as a stream or as a list.
//!
//! | file | subject |
//! |---|---|
//! | `of_tenant`, `of_job` | the two routes |
//! | `query` | where the reader stands and in which form it wants to read |
//! | `answer` | one answer for both routes: a stream, or a list |
//! | `scope` | whose events are read, and from where |
//! | `source` | what a stream says next |
//! | `feed` | when a stream looks, says that it lives, and ends |
//! | `wire` | the text of a stream |

mod answer;
mod feed;
mod of_job;
mod of_tenant;
mod query;
mod scope;
mod source;
mod wire;

use unity_shared::tenancy::Role;
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(
            Access::Tenant(Role::TenantViewer),
            routes!(of_tenant::list_events),
        )
        .route(
            Access::TenantOrPlatformsJobs(Role::TenantViewer),
            routes!(of_job::list_job_events),
        )
}
