//! Who may do what in the namespace: Unity's own account, and three groups of people.
//!
//! People are bound by group, so that joining or leaving a tenant writes nothing to any cluster:
//! whoever authenticates a person to the cluster states that person's groups.

use k8s_openapi::api::rbac::v1::{RoleBinding, RoleRef, Subject};

use super::{cluster_roles::Role, labels, service_accounts};
use crate::tenant_namespace::TenantNamespace;

const RBAC_GROUP: &str = "rbac.authorization.k8s.io";

/// One binding for each cluster role.
pub(super) fn build(tenant: &TenantNamespace) -> [RoleBinding; 4] {
    Role::ALL.map(|role| {
        let (name, subject) = match role {
            Role::Deployer => ("unity-deployer", deployer(tenant)),
            Role::Admin => ("unity-admins", group(tenant, "admins")),
            Role::Member => ("unity-members", group(tenant, "members")),
            Role::Viewer => ("unity-viewers", group(tenant, "viewers")),
        };
        RoleBinding {
            metadata: labels::in_namespace(tenant, name),
            role_ref: RoleRef {
                api_group: RBAC_GROUP.to_owned(),
                kind: "ClusterRole".to_owned(),
                name: role.name().to_owned(),
            },
            subjects: Some(vec![subject]),
        }
    })
}

fn deployer(tenant: &TenantNamespace) -> Subject {
    Subject {
        kind: "ServiceAccount".to_owned(),
        name: service_accounts::deployer_name(tenant),
        namespace: Some(tenant.tenant_id.namespace()),
        api_group: None,
    }
}

fn group(tenant: &TenantNamespace, people: &str) -> Subject {
    Subject {
        kind: "Group".to_owned(),
        name: format!("unity:tenant:{}:{people}", tenant.tenant_id),
        namespace: None,
        api_group: Some(RBAC_GROUP.to_owned()),
    }
}
