//! One folder per resource, one file per verb.

mod events;
mod job_kinds;
mod jobs;
mod page;
mod tenants;

use crate::auth::Routes;

/// Every resource: adding one is a folder and a line.
pub fn register(routes: Routes) -> Routes {
    let routes = tenants::register(routes);
    let routes = jobs::register(routes);
    let routes = events::register(routes);
    job_kinds::register(routes)
}
