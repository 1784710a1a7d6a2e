//! What people and Unity's own account may do inside a tenant's namespace.
//!
//! Every rule is spelled out. The built-in `admin` and `edit` are not used: they grow with what
//! add-ons aggregate into them, and they may impersonate the namespace's service accounts. Each
//! role contains the one before it: viewer, member, admin. The deployer may do nothing that an
//! admin may not, so that a pod which runs as it gains nothing that the tenant does not have.
//!
//! Left out for everybody, because each leads out of the namespace or past its barriers: changing
//! namespaces, quotas, limits, network policies, roles and bindings, service accounts and their
//! tokens; everything that belongs to the cluster.
//!
//! What roles cannot express and admission rules must: whoever may create pods may mount the
//! namespace's secrets and name any of its service accounts.

use k8s_openapi::{
    api::rbac::v1::{ClusterRole, PolicyRule},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use super::labels;

/// The four roles, in the order in which they are installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Unity's own account: puts blueprints into the namespace and takes them out.
    Deployer,
    /// Runs the tenant's namespace: also its secrets, and a way into its pods.
    Admin,
    /// Works in it: starts and stops things, reads logs.
    Member,
    /// Looks on. No secrets, and nothing beneath a pod: on API servers before 1.35, being allowed
    /// to `get` a pod's `exec` is enough to run commands in it.
    Viewer,
}

impl Role {
    pub(super) const ALL: [Self; 4] = [Self::Deployer, Self::Admin, Self::Member, Self::Viewer];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Deployer => "unity:deployer",
            Self::Admin => "unity:admin",
            Self::Member => "unity:member",
            Self::Viewer => "unity:viewer",
        }
    }

    fn rules(self) -> Vec<PolicyRule> {
        match self {
            Self::Viewer => look(),
            Self::Member => [look(), work(), read_logs()].concat(),
            Self::Admin => [
                look(),
                work(),
                read_logs(),
                vec![keep_secrets()],
                enter_pods(),
            ]
            .concat(),
            Self::Deployer => [look(), work(), vec![place_secrets()]].concat(),
        }
    }
}

/// The roles as objects.
pub(super) fn build() -> [ClusterRole; 4] {
    Role::ALL.map(|role| ClusterRole {
        metadata: ObjectMeta {
            name: Some(role.name().to_owned()),
            labels: Some(labels::platform()),
            ..ObjectMeta::default()
        },
        rules: Some(role.rules()),
        aggregation_rule: None,
    })
}

const READ: &[&str] = &["get", "list", "watch"];
const WRITE: &[&str] = &["create", "update", "patch", "delete"];

fn rule(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(owned(resources)),
        verbs: owned(verbs),
        ..PolicyRule::default()
    }
}

fn look() -> Vec<PolicyRule> {
    vec![
        // Bound inside one namespace, this reads that namespace only.
        rule("", &["namespaces"], &["get"]),
        rule(
            "",
            &[
                "configmaps",
                "endpoints",
                "events",
                "limitranges",
                "persistentvolumeclaims",
                "pods",
                "resourcequotas",
                "serviceaccounts",
                "services",
            ],
            READ,
        ),
        rule(
            "apps",
            &["daemonsets", "deployments", "replicasets", "statefulsets"],
            READ,
        ),
        rule("autoscaling", &["horizontalpodautoscalers"], READ),
        rule("batch", &["cronjobs", "jobs"], READ),
        rule("discovery.k8s.io", &["endpointslices"], READ),
        rule("networking.k8s.io", &["ingresses", "networkpolicies"], READ),
        rule("policy", &["poddisruptionbudgets"], READ),
        rule(
            "rbac.authorization.k8s.io",
            &["rolebindings", "roles"],
            READ,
        ),
    ]
}

fn work() -> Vec<PolicyRule> {
    vec![
        rule(
            "",
            &["configmaps", "persistentvolumeclaims", "pods", "services"],
            WRITE,
        ),
        rule("apps", &["deployments", "statefulsets"], WRITE),
        rule(
            "apps",
            &["deployments/scale", "statefulsets/scale"],
            &["get", "update", "patch"],
        ),
        rule("autoscaling", &["horizontalpodautoscalers"], WRITE),
        rule("batch", &["cronjobs", "jobs"], WRITE),
        rule("networking.k8s.io", &["ingresses"], WRITE),
        rule("policy", &["poddisruptionbudgets"], WRITE),
    ]
}

fn read_logs() -> Vec<PolicyRule> {
    vec![rule("", &["pods/log"], &["get"])]
}

fn keep_secrets() -> PolicyRule {
    rule("", &["secrets"], &[READ, WRITE].concat())
}

/// No `list` and `watch`: who deploys knows the names of the secrets it places.
fn place_secrets() -> PolicyRule {
    rule(
        "",
        &["secrets"],
        &["get", "create", "update", "patch", "delete"],
    )
}

/// `get` for API servers before 1.35, `create` from then on: clients upgrade a GET to a WebSocket.
fn enter_pods() -> Vec<PolicyRule> {
    vec![rule(
        "",
        &["pods/attach", "pods/exec", "pods/portforward"],
        &["get", "create"],
    )]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    type Grant = (String, String, String);

    /// Every (group, resource, verb) that a role grants.
    fn grants(role: Role) -> BTreeSet<Grant> {
        let mut grants = BTreeSet::new();
        for rule in role.rules() {
            for group in rule.api_groups.iter().flatten() {
                for resource in rule.resources.iter().flatten() {
                    for verb in &rule.verbs {
                        grants.insert((group.clone(), resource.clone(), verb.clone()));
                    }
                }
            }
        }
        grants
    }

    #[test]
    fn no_role_has_a_wildcard_or_reaches_beyond_objects() {
        for role in Role::ALL {
            for (group, resource, verb) in grants(role) {
                assert!(
                    ![&group, &resource, &verb]
                        .iter()
                        .any(|text| text.contains('*'))
                );
            }
            for rule in role.rules() {
                assert_eq!((rule.non_resource_urls, rule.resource_names), (None, None));
            }
        }
        assert!(build().iter().all(|role| role.aggregation_rule.is_none()));
    }

    #[test]
    fn no_role_is_granted_what_leads_out_of_the_namespace() {
        let never_verbs = [
            "escalate",
            "bind",
            "impersonate",
            "approve",
            "sign",
            "deletecollection",
            "use",
        ];
        let never_resources = [
            "serviceaccounts/token",
            "nodes",
            "nodes/proxy",
            "pods/ephemeralcontainers",
            "pods/proxy",
            "services/proxy",
            "persistentvolumes",
            "certificatesigningrequests",
            "certificatesigningrequests/approval",
            "namespaces/finalize",
            "namespaces/status",
        ];
        let read_only = [
            "namespaces",
            "resourcequotas",
            "limitranges",
            "networkpolicies",
            "roles",
            "rolebindings",
            "serviceaccounts",
            "endpoints",
            "endpointslices",
            "daemonsets",
        ];
        for role in Role::ALL {
            for (group, resource, verb) in grants(role) {
                assert!(
                    !never_verbs.contains(&verb.as_str()),
                    "{role:?} {resource} {verb}"
                );
                assert!(
                    !never_resources.contains(&resource.as_str()),
                    "{role:?} {resource}"
                );
                assert_ne!(group, "admissionregistration.k8s.io", "{role:?}");
                if read_only.contains(&resource.as_str()) {
                    assert!(READ.contains(&verb.as_str()), "{role:?} {resource} {verb}");
                }
            }
        }
    }

    #[test]
    fn a_viewer_only_reads_and_sees_nothing_beneath_a_pod() {
        for (_, resource, verb) in grants(Role::Viewer) {
            assert!(READ.contains(&verb.as_str()), "{resource} {verb}");
            assert!(!resource.contains('/'), "{resource}");
        }
    }

    #[test]
    fn secrets_are_for_admins_and_the_deployer() {
        let may = |role| {
            grants(role)
                .iter()
                .any(|(_, resource, _)| resource == "secrets")
        };
        assert!(!may(Role::Viewer) && !may(Role::Member));
        assert!(may(Role::Admin) && may(Role::Deployer));
    }

    #[test]
    fn each_role_contains_the_lesser_one_and_an_admin_the_deployer() {
        assert!(grants(Role::Viewer).is_subset(&grants(Role::Member)));
        assert!(grants(Role::Member).is_subset(&grants(Role::Admin)));
        assert!(grants(Role::Deployer).is_subset(&grants(Role::Admin)));
    }
}
