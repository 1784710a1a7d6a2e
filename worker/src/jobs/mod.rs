//! One file and one line for each kind.

mod hard_delete_tenant;
mod probe;
mod provision_namespace;
mod send_notification;

use crate::{handler::Registry, runtime::WorkerServices};

/// Every kind that this binary can run.
pub(crate) fn registry(services: &WorkerServices) -> Registry {
    let mut registry = Registry::default();
    registry.register(provision_namespace::Handler::new(services));
    registry.register(send_notification::Handler::new(services));
    registry.register(hard_delete_tenant::Handler::new(services));
    registry.register(probe::Handler);
    registry
}
