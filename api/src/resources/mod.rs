//! One folder per resource, one file per verb.

mod act_as;
mod audit_log;
mod events;
mod job_kinds;
mod jobs;
mod page;
mod queues;
mod switches;
mod tenants;
mod worker_pools;
mod workers;

use crate::auth::Routes;

/// Every resource: adding one is a folder and a line.
pub fn register(routes: Routes) -> Routes {
    let routes = tenants::register(routes);
    let routes = jobs::register(routes);
    let routes = events::register(routes);
    let routes = job_kinds::register(routes);
    let routes = switches::register(routes);
    let routes = queues::register(routes);
    let routes = worker_pools::register(routes);
    let routes = workers::register(routes);
    let routes = act_as::register(routes);
    audit_log::register(routes)
}
