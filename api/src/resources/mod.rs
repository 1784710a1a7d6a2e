//! One folder per resource, one file per verb.

mod act_as;
mod api_keys;
mod audit_log;
mod auth;
mod events;
mod gone;
mod identity_provider;
mod invitations;
mod job_kinds;
mod jobs;
mod members;
mod page;
mod queues;
mod repeat;
mod sign_in;
mod switches;
mod tenants;
mod worker_pools;
mod workers;

pub use gone::{refuse_gone, refuse_gone_status};
pub use jobs::JobView;
pub use sign_in::{CALLBACK, KnownProviders, SignIns};

use crate::auth::Routes;

/// Every resource: adding one is a folder and a line.
pub fn register(routes: Routes) -> Routes {
    let routes = auth::register(routes);
    let routes = api_keys::register(routes);
    let routes = tenants::register(routes);
    let routes = members::register(routes);
    let routes = invitations::register(routes);
    let routes = identity_provider::register(routes);
    let routes = sign_in::register(routes);
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

/// What has its address outside of the API's prefix.
pub fn register_at_root(routes: Routes) -> Routes {
    auth::register_at_root(routes)
}
