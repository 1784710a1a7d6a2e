//! Step 3, no client required: every object of a tenant's namespace, complete.
//!
//! One file per kind of object. Nothing here knows what the cluster holds now: the same tenant
//! and options always give the same objects, byte for byte.

mod cluster_roles;
mod config_map;
mod desired_hash;
mod internet;
pub(super) mod labels;
mod limit_range;
mod namespace;
mod network_policies;
mod quantity;
mod resource_quotas;
mod role_bindings;
mod service_accounts;
#[cfg(test)]
pub(super) mod test_tenants;

use k8s_openapi::api::{
    core::v1::{ConfigMap, LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::{ClusterRole, RoleBinding},
};

pub(super) use resource_quotas::COMPUTE_QUOTA;

use super::{error::ProvisionError, report::ObjectReport, validate::Validated};
use crate::cluster_options::ClusterOptions;

/// Every object of a tenant's namespace, in the order in which they are applied, and how far they
/// have come.
pub(super) struct Resources<S> {
    /// Shared by all tenants of the cluster; each run makes sure of them.
    pub(super) cluster_roles: [ClusterRole; 4],
    pub(super) namespace: Namespace,
    pub(super) network_policies: Vec<NetworkPolicy>,
    /// Policies that another plan or other options would ask for. A tenant that changed its plan
    /// must not keep the holes of the old one, so these are deleted where they exist.
    pub(super) retired_network_policies: Vec<NetworkPolicy>,
    pub(super) resource_quotas: [ResourceQuota; 2],
    pub(super) limit_range: LimitRange,
    pub(super) service_accounts: [ServiceAccount; 2],
    pub(super) role_bindings: [RoleBinding; 4],
    pub(super) config_map: ConfigMap,
    pub(super) state: S,
}

/// Built, and sent nowhere yet.
pub(super) struct Prepared {
    pub(super) desired_hash: String,
}

/// Stored by the API server.
pub(super) struct Applied {
    pub(super) desired_hash: String,
    pub(super) objects: Vec<ObjectReport>,
}

impl<S> Resources<S> {
    /// How many objects there are, those that must be absent included.
    pub(super) const fn len(&self) -> usize {
        let Self {
            cluster_roles,
            namespace: _,
            network_policies,
            retired_network_policies,
            resource_quotas,
            limit_range: _,
            service_accounts,
            role_bindings,
            config_map: _,
            state: _,
        } = self;
        cluster_roles.len()
            + network_policies.len()
            + retired_network_policies.len()
            + resource_quotas.len()
            + service_accounts.len()
            + role_bindings.len()
            + 3
    }
}

/// Builds the objects and stamps their hash on the namespace and the config map.
pub(super) fn build(
    validated: &Validated<'_>,
    options: &ClusterOptions,
) -> Result<Resources<Prepared>, ProvisionError> {
    let tenant = validated.desired();
    let policies = network_policies::build(tenant, options);
    let mut resources = Resources {
        cluster_roles: cluster_roles::build(),
        namespace: namespace::build(tenant),
        network_policies: policies.wanted,
        retired_network_policies: policies.retired,
        resource_quotas: resource_quotas::build(tenant),
        limit_range: limit_range::build(tenant),
        service_accounts: service_accounts::build(tenant),
        role_bindings: role_bindings::build(tenant),
        config_map: config_map::build(tenant),
        state: Prepared {
            desired_hash: String::new(),
        },
    };
    let hash = desired_hash::of(&resources).map_err(|source| ProvisionError::Hash { source })?;
    namespace::stamp(&mut resources.namespace, &hash);
    config_map::stamp(&mut resources.config_map, &hash);
    resources.state.desired_hash = hash;
    Ok(resources)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;
    use serde_json::Value;
    use unity_shared::tenancy::Plan;

    use super::{
        test_tenants::{acme_corp, free_with_nothing},
        *,
    };
    use crate::tenant_namespace::{TenantNamespace, dereference::Dereferenced, validate::validate};

    fn built(desired: &TenantNamespace, options: &ClusterOptions) -> Resources<Prepared> {
        let validated = validate(Dereferenced {
            desired,
            namespace: None,
        })
        .unwrap();
        build(&validated, options).unwrap()
    }

    fn json<K: Serialize>(objects: &[K]) -> Vec<Value> {
        objects
            .iter()
            .map(|object| serde_json::to_value(object).unwrap())
            .collect()
    }

    /// All manifests in the order of application.
    fn manifests(resources: &Resources<Prepared>) -> Vec<Value> {
        [
            json(&resources.cluster_roles),
            json(std::slice::from_ref(&resources.namespace)),
            json(&resources.network_policies),
            json(&resources.resource_quotas),
            json(std::slice::from_ref(&resources.limit_range)),
            json(&resources.service_accounts),
            json(&resources.role_bindings),
            json(std::slice::from_ref(&resources.config_map)),
        ]
        .concat()
    }

    #[test]
    fn an_enterprise_tenant_gets_these_manifests() {
        let resources = built(&acme_corp(), &ClusterOptions::default());
        insta::assert_yaml_snapshot!("acme_corp_enterprise", manifests(&resources));
    }

    #[test]
    fn a_free_tenant_with_quotas_of_nothing_gets_these_manifests() {
        let resources = built(&free_with_nothing(), &ClusterOptions::default());
        insta::assert_yaml_snapshot!("free_with_nothing", manifests(&resources));
    }

    #[test]
    fn every_object_says_whose_it_is_and_only_the_shared_roles_name_no_tenant() {
        let tenant = acme_corp();
        for manifest in manifests(&built(&tenant, &ClusterOptions::default())) {
            let labels = &manifest["metadata"]["labels"];
            assert_eq!(labels["managed-by"], "unity", "{manifest}");
            assert_eq!(
                labels["app.kubernetes.io/managed-by"], "unity",
                "{manifest}"
            );
            if manifest["kind"] == "ClusterRole" {
                assert_eq!(labels.get("tenant-id"), None, "{manifest}");
            } else {
                assert_eq!(labels["tenant-id"], "acme-corp", "{manifest}");
                assert_eq!(
                    labels["unity.dev/tenant-uid"],
                    tenant.tenant_uid.to_string()
                );
            }
        }
    }

    #[test]
    fn no_manifest_carries_what_is_the_servers_to_fill_in() {
        for manifest in manifests(&built(&acme_corp(), &ClusterOptions::default())) {
            assert_eq!(manifest.get("status"), None, "{manifest}");
            for field in [
                "managedFields",
                "resourceVersion",
                "uid",
                "creationTimestamp",
            ] {
                assert_eq!(manifest["metadata"].get(field), None, "{manifest}");
            }
        }
    }

    #[test]
    fn the_hash_is_the_same_for_the_same_wish_and_another_for_another() {
        let options = ClusterOptions::default();
        let hash = |tenant: &TenantNamespace, options| built(tenant, options).state.desired_hash;
        let acme = hash(&acme_corp(), &options);
        assert_eq!(acme, hash(&acme_corp(), &options));

        let mut smaller = acme_corp();
        smaller.quota.cpu_cores -= 1;
        let mut downgraded = acme_corp();
        downgraded.plan = Plan::Pro;
        let closed = ClusterOptions {
            ingress_controller: None,
            ..ClusterOptions::default()
        };
        for other in [
            hash(&smaller, &options),
            hash(&downgraded, &options),
            hash(&acme_corp(), &closed),
        ] {
            assert_ne!(acme, other);
        }
    }

    #[test]
    fn the_namespace_and_the_config_map_carry_the_hash() {
        let resources = built(&acme_corp(), &ClusterOptions::default());
        let hash = &resources.state.desired_hash;
        assert_eq!(hash.len(), "sha256:".len() + 64);
        let annotations = resources.namespace.metadata.annotations.unwrap();
        assert_eq!(annotations.get("unity.dev/desired-hash"), Some(hash));
        assert_eq!(
            resources.config_map.data.unwrap().get("desired-hash"),
            Some(hash)
        );
    }
}
