//! A tenant's namespace, from what it should be to what was done about it.
//!
//! A pipeline of five steps, each with a type of its own, so that none can be left out:
//!
//! | step | needs the cluster | from | to |
//! |---|---|---|---|
//! | `dereference` | yes | [`TenantNamespace`] | `Dereferenced`: and what is there now |
//! | `validate` | no | `Dereferenced` | `Validated`: the namespace is ours to shape |
//! | `build` | no | `Validated` | `Resources<Prepared>`: every object, complete |
//! | `apply` | yes | `Resources<Prepared>` | `Resources<Applied>`: every object, stored |
//! | `status` | yes | `Resources<Applied>` | [`ProvisionReport`]: the namespace is active |
//!
//! It may be stopped after any request and started again: nothing is remembered between runs, and
//! a second run changes nothing.

mod apply;
mod build;
mod dereference;
mod error;
mod remove;
mod report;
mod status;
#[cfg(test)]
mod tests;
mod usage;
mod validate;

use unity_shared::{
    ids::{TenantId, TenantUid},
    tenancy::{Plan, ResourceQuota},
};

pub use error::{ObjectName, ProvisionError};
pub use remove::{Removal, remove};
pub use report::{ObjectReport, Outcome, ProvisionReport, Step};
pub use usage::{ClusterUse, read_use};

use crate::client::ClusterClient;

/// What a tenant should have on a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantNamespace {
    /// The tenant's slug. The namespace is `tenant-{id}`.
    pub tenant_id: TenantId,
    /// Who the tenant is, whatever it is called. A namespace of another uid is never touched.
    pub tenant_uid: TenantUid,
    /// Decides whether pods may reach the internet: pro and enterprise may.
    pub plan: Plan,
    /// What all pods and volumes of the namespace together may use. 0 means none. Only the CPU,
    /// memory and storage quotas are the cluster's to enforce.
    pub quota: ResourceQuota,
}

/// Makes the tenant's namespace and everything in it what `desired` says, and tells `progress`
/// before the first object and after each one.
///
/// Objects are applied one after the other, barriers before anything that could run, so a run that
/// fails half-way leaves a namespace that is closed rather than open. Fields that Unity does not
/// set, and objects that it does not know, stay as they are.
pub async fn provision(
    client: &ClusterClient,
    desired: &TenantNamespace,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<ProvisionReport, ProvisionError> {
    let dereferenced = dereference::dereference(client, desired).await?;
    let validated = validate::validate(dereferenced)?;
    let prepared = build::build(&validated, client.options())?;
    // The objects are large; on the heap they do not fill every caller's future.
    let applied = Box::pin(apply::apply(client, prepared, progress)).await?;
    Box::pin(status::status(client, applied)).await
}
