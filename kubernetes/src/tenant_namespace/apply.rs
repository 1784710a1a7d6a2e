//! Step 4, client required: stores every object, in an order in which nothing is ever open.
//!
//! The barriers (pod security labels, network policies, quotas, limits) stand before the first
//! identity that could start something exists. One object after the other, because the order is
//! the point and a namespace is provisioned rarely.

use k8s_openapi::api::{networking::v1::NetworkPolicy, rbac::v1::RoleBinding};

use super::{
    build::{
        Applied, Prepared, Resources,
        labels::{MANAGED_BY, UNITY},
    },
    error::{ObjectName, ProvisionError},
    report::{ObjectReport, Outcome, Step},
};
use crate::{client::ClusterClient, request::ClusterObject};

/// Applies all resources.
///
/// The destructuring names every field: a new kind of object that is not applied does not compile.
pub(super) async fn apply(
    client: &ClusterClient,
    resources: Resources<Prepared>,
    progress: &mut (dyn FnMut(Step) + Send),
) -> Result<Resources<Applied>, ProvisionError> {
    let total = resources.len();
    let Resources {
        cluster_roles,
        namespace,
        network_policies,
        retired_network_policies,
        resource_quotas,
        limit_range,
        service_accounts,
        role_bindings,
        config_map,
        state: Prepared { desired_hash },
    } = resources;
    let mut run = Run::start(client, &ObjectName::of(&namespace), total, progress);

    for cluster_role in &cluster_roles {
        run.apply(cluster_role).await?;
    }
    run.apply(&namespace).await?;
    for network_policy in &network_policies {
        run.apply(network_policy).await?;
    }
    for retired in &retired_network_policies {
        run.remove(retired).await?;
    }
    for resource_quota in &resource_quotas {
        run.apply(resource_quota).await?;
    }
    run.apply(&limit_range).await?;
    for service_account in &service_accounts {
        run.apply(service_account).await?;
    }
    for role_binding in &role_bindings {
        run.bind(role_binding).await?;
    }
    run.apply(&config_map).await?;

    let state = Applied {
        desired_hash,
        objects: run.objects,
    };
    Ok(Resources {
        cluster_roles,
        namespace,
        network_policies,
        retired_network_policies,
        resource_quotas,
        limit_range,
        service_accounts,
        role_bindings,
        config_map,
        state,
    })
}

/// One pass over the objects, and what became of them so far.
struct Run<'a> {
    cluster: Requests<'a>,
    done: usize,
    total: usize,
    progress: &'a mut (dyn FnMut(Step) + Send),
    objects: Vec<ObjectReport>,
}

impl<'a> Run<'a> {
    fn start(
        client: &'a ClusterClient,
        namespace: &ObjectName,
        total: usize,
        progress: &'a mut (dyn FnMut(Step) + Send),
    ) -> Self {
        progress(Step {
            done: 0,
            total,
            message: format!("{namespace} read"),
        });
        let namespace = namespace.name().to_owned();
        Self {
            cluster: Requests { client, namespace },
            done: 0,
            total,
            progress,
            objects: Vec::with_capacity(total),
        }
    }

    async fn apply<K: ClusterObject>(&mut self, object: &K) -> Result<(), ProvisionError> {
        let before = self.cluster.read(object).await?;
        let outcome = self.cluster.store(object, before.as_ref()).await?;
        self.report(object, Some(outcome));
        Ok(())
    }

    /// Applies a role binding. The role that one refers to can never be changed, so a binding to
    /// another role makes place for ours; until the next request its subjects have no rights.
    async fn bind(&mut self, binding: &RoleBinding) -> Result<(), ProvisionError> {
        let before: Option<RoleBinding> = self.cluster.read(binding).await?;
        let outcome = match before {
            Some(before) if before.role_ref != binding.role_ref => {
                self.cluster.delete(&before).await?;
                self.cluster.store(binding, None).await?;
                Outcome::Changed
            }
            before => self.cluster.store(binding, before.as_ref()).await?,
        };
        self.report(binding, Some(outcome));
        Ok(())
    }

    /// Deletes a policy that must not be, if Unity made it. A policy of the same name that Unity
    /// did not make is left to whoever did.
    async fn remove(&mut self, policy: &NetworkPolicy) -> Result<(), ProvisionError> {
        let before: Option<NetworkPolicy> = self.cluster.read(policy).await?;
        let ours = before.filter(|found| {
            let labels = found.metadata.labels.as_ref();
            labels
                .and_then(|labels| labels.get(MANAGED_BY))
                .is_some_and(|by| by == UNITY)
        });
        let outcome = match ours {
            Some(found) => {
                self.cluster.delete(&found).await?;
                Some(Outcome::Removed)
            }
            None => None,
        };
        self.report(policy, outcome);
        Ok(())
    }

    /// Counts one object as done. No outcome: it was absent, as it should be.
    fn report<K: ClusterObject>(&mut self, object: &K, outcome: Option<Outcome>) {
        let name = ObjectName::of(object);
        self.done += 1;
        let message = match outcome {
            Some(outcome) => format!("{name} {outcome}"),
            None => format!("{name} is absent"),
        };
        tracing::debug!(namespace = %self.cluster.namespace, object = %name, ?outcome, "object provisioned");
        (self.progress)(Step {
            done: self.done,
            total: self.total,
            message,
        });
        if let Some(outcome) = outcome {
            let (kind, name) = (name.kind().to_owned(), name.name().to_owned());
            self.objects.push(ObjectReport {
                kind,
                name,
                outcome,
            });
        }
    }
}

/// The requests of one pass. Apart from [`Run`], whose progress may be shared with nobody while
/// one of them is under way.
struct Requests<'a> {
    client: &'a ClusterClient,
    namespace: String,
}

impl Requests<'_> {
    async fn read<K: ClusterObject>(&self, object: &K) -> Result<Option<K>, ProvisionError> {
        let meta = object.meta();
        let name = meta.name.as_deref().unwrap_or_default();
        self.client
            .get(meta.namespace.as_deref(), name)
            .await
            .map_err(|source| {
                ProvisionError::reading(ObjectName::of(object), &self.namespace, source)
            })
    }

    /// Server-side apply bumps the resource version only if something is different afterwards, so
    /// comparing versions tells a change from a no-op without comparing contents.
    async fn store<K: ClusterObject>(
        &self,
        object: &K,
        before: Option<&K>,
    ) -> Result<Outcome, ProvisionError> {
        let after = self.client.apply(object).await.map_err(|source| {
            ProvisionError::applying(ObjectName::of(object), &self.namespace, source)
        })?;
        Ok(match before {
            None => Outcome::Created,
            Some(before) if before.meta().resource_version == after.meta().resource_version => {
                Outcome::Unchanged
            }
            Some(_) => Outcome::Changed,
        })
    }

    async fn delete<K: ClusterObject>(&self, object: &K) -> Result<(), ProvisionError> {
        self.client.delete(object).await.map_err(|source| {
            ProvisionError::deleting(ObjectName::of(object), &self.namespace, source)
        })
    }
}
