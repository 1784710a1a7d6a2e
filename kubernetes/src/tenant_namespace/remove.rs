//! Takes a tenant's namespace away, with everything in it.
//!
//! One call looks once and asks for the deletion at most once; whoever wants it gone calls until it
//! is. Finalizers of others are never taken off: what holds the namespace back is named instead.

use k8s_openapi::api::core::v1::Namespace;
use unity_shared::ids::{TenantId, TenantUid};

use super::{
    error::{ObjectName, ProvisionError},
    validate::{belongs_to, is_terminating},
};
use crate::client::ClusterClient;

/// What became of the namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removal {
    /// There is none.
    Absent,
    /// A namespace of that name is not this tenant's, and was not touched.
    Foreign,
    /// It is being deleted.
    Terminating {
        /// What the cluster says holds it back; empty where it says nothing.
        held_by: Vec<String>,
    },
}

/// Deletes the namespace of exactly this tenant.
pub async fn remove(
    client: &ClusterClient,
    tenant: &TenantId,
    uid: TenantUid,
) -> Result<Removal, ProvisionError> {
    let name = tenant.namespace();
    let Some(found) = read(client, &name).await? else {
        return Ok(Removal::Absent);
    };
    if !belongs_to(&found, uid) {
        return Ok(Removal::Foreign);
    }
    if !is_terminating(&found) {
        client
            .delete(&found)
            .await
            .map_err(|source| ProvisionError::deleting(ObjectName::of(&found), &name, source))?;
    }
    // Where nothing holds it back it may be gone already.
    Ok(match read(client, &name).await? {
        None => Removal::Absent,
        Some(left) if !belongs_to(&left, uid) => Removal::Foreign,
        Some(left) => Removal::Terminating {
            held_by: held_by(&left),
        },
    })
}

async fn read(client: &ClusterClient, name: &str) -> Result<Option<Namespace>, ProvisionError> {
    client.get::<Namespace>(None, name).await.map_err(|source| {
        let object = ObjectName::cluster_scoped("Namespace", name);
        ProvisionError::reading(object, name, source)
    })
}

/// The conditions under which a namespace waits for others, in the cluster's words.
fn held_by(namespace: &Namespace) -> Vec<String> {
    let conditions = namespace
        .status
        .as_ref()
        .and_then(|status| status.conditions.as_deref());
    conditions
        .unwrap_or_default()
        .iter()
        .filter(|condition| condition.status == "True")
        .filter_map(|condition| condition.message.clone())
        .collect()
}
