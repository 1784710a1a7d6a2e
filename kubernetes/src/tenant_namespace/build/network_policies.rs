//! Who may talk to the tenant's pods, and whom they may talk to: nobody, but for these holes.
//!
//! What this does not close: a cluster whose network plug-in does not enforce policies ignores all
//! of them; pods on the host's network escape them (pod security refuses such pods); names of
//! other tenants' services can be resolved; the node itself always reaches its pods.

use std::collections::BTreeMap;

use k8s_openapi::{
    api::networking::v1::{
        NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer,
        NetworkPolicyPort, NetworkPolicySpec,
    },
    apimachinery::pkg::{apis::meta::v1::LabelSelector, util::intstr::IntOrString},
};
use unity_shared::tenancy::Plan;

use super::{
    internet::internet,
    labels::{self, TENANT_UID},
};
use crate::{
    cluster_options::{ClusterOptions, PodSource},
    tenant_namespace::TenantNamespace,
};

/// A pod with this label may be reached by the ingress controller.
const EXPOSED: &str = "unity.dev/exposed";

/// Which policies there should be, and which there should not.
pub(super) struct NetworkPolicies {
    pub(super) wanted: Vec<NetworkPolicy>,
    /// Named, with an empty spec: they are only ever looked up and deleted.
    pub(super) retired: Vec<NetworkPolicy>,
}

/// All policies of the tenant; what is closed comes before what is opened.
pub(super) fn build(tenant: &TenantNamespace, options: &ClusterOptions) -> NetworkPolicies {
    let always = [
        ("unity-default-deny", default_deny()),
        ("unity-allow-same-tenant", same_tenant(tenant)),
        ("unity-allow-dns", dns(options)),
    ];
    let ingress = options
        .ingress_controller
        .as_ref()
        .map(from_ingress_controller);
    let monitoring = options
        .monitoring
        .as_ref()
        .map(|pods| from_monitoring(pods, &options.metrics_port));
    let optional = [
        ("unity-allow-ingress-controller", ingress),
        ("unity-allow-monitoring", monitoring),
        (
            "unity-allow-egress-internet",
            to_internet(tenant.plan, options),
        ),
    ];

    let policy = |name: &str, spec: Option<NetworkPolicySpec>| NetworkPolicy {
        metadata: labels::in_namespace(tenant, name),
        spec,
    };
    let mut policies = NetworkPolicies {
        wanted: Vec::new(),
        retired: Vec::new(),
    };
    for (name, spec) in always {
        policies.wanted.push(policy(name, Some(spec)));
    }
    for (name, spec) in optional {
        let place = if spec.is_some() {
            &mut policies.wanted
        } else {
            &mut policies.retired
        };
        place.push(policy(name, spec));
    }
    policies
}

fn default_deny() -> NetworkPolicySpec {
    spec(LabelSelector::default(), None, None, &["Ingress", "Egress"])
}

/// All namespaces of this tenant on the cluster. By uid, so that a namespace which an older tenant
/// of the same name left behind stays outside.
fn same_tenant(tenant: &TenantNamespace) -> NetworkPolicySpec {
    let siblings = vec![NetworkPolicyPeer {
        namespace_selector: Some(selector([(TENANT_UID, &tenant.tenant_uid.to_string())])),
        ..NetworkPolicyPeer::default()
    }];
    spec(
        LabelSelector::default(),
        Some(ingress_from(siblings.clone(), None)),
        Some(egress_to(siblings, None)),
        &["Ingress", "Egress"],
    )
}

fn dns(options: &ClusterOptions) -> NetworkPolicySpec {
    // Namespace and pods in one peer: as two peers they would allow the whole of kube-system, and
    // pods that call themselves kube-dns anywhere in the tenant's namespace.
    let mut peers = vec![NetworkPolicyPeer {
        namespace_selector: Some(namespace_named("kube-system")),
        pod_selector: Some(selector([("k8s-app", "kube-dns")])),
        ..NetworkPolicyPeer::default()
    }];
    peers.extend(options.node_local_dns.map(super::internet::single_address));
    let ports = ["UDP", "TCP"].map(|protocol| port(protocol, IntOrString::Int(53)));
    spec(
        LabelSelector::default(),
        None,
        Some(egress_to(peers, Some(ports.into()))),
        &["Egress"],
    )
}

fn from_ingress_controller(pods: &PodSource) -> NetworkPolicySpec {
    let ingress = ingress_from(vec![peer(pods)], None);
    spec(
        selector([(EXPOSED, "true")]),
        Some(ingress),
        None,
        &["Ingress"],
    )
}

fn from_monitoring(pods: &PodSource, metrics_port: &str) -> NetworkPolicySpec {
    let port = port("TCP", IntOrString::String(metrics_port.to_owned()));
    let ingress = ingress_from(vec![peer(pods)], Some(vec![port]));
    spec(LabelSelector::default(), Some(ingress), None, &["Ingress"])
}

fn to_internet(plan: Plan, options: &ClusterOptions) -> Option<NetworkPolicySpec> {
    match plan {
        Plan::Free => None,
        Plan::Pro | Plan::Enterprise => {
            let egress = egress_to(internet(&options.internal_networks), None);
            Some(spec(
                LabelSelector::default(),
                None,
                Some(egress),
                &["Egress"],
            ))
        }
    }
}

fn spec(
    pods: LabelSelector,
    ingress: Option<NetworkPolicyIngressRule>,
    egress: Option<NetworkPolicyEgressRule>,
    types: &[&str],
) -> NetworkPolicySpec {
    NetworkPolicySpec {
        pod_selector: Some(pods),
        ingress: ingress.map(|rule| vec![rule]),
        egress: egress.map(|rule| vec![rule]),
        policy_types: Some(types.iter().map(|&name| name.to_owned()).collect()),
    }
}

fn ingress_from(
    peers: Vec<NetworkPolicyPeer>,
    ports: Option<Vec<NetworkPolicyPort>>,
) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from: Some(peers),
        ports,
    }
}

fn egress_to(
    peers: Vec<NetworkPolicyPeer>,
    ports: Option<Vec<NetworkPolicyPort>>,
) -> NetworkPolicyEgressRule {
    NetworkPolicyEgressRule {
        to: Some(peers),
        ports,
    }
}

fn peer(pods: &PodSource) -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        namespace_selector: Some(namespace_named(&pods.namespace)),
        pod_selector: Some(match_labels(pods.pod_labels.clone())),
        ip_block: None,
    }
}

fn port(protocol: &str, port: IntOrString) -> NetworkPolicyPort {
    NetworkPolicyPort {
        protocol: Some(protocol.to_owned()),
        port: Some(port),
        end_port: None,
    }
}

fn namespace_named(name: &str) -> LabelSelector {
    selector([("kubernetes.io/metadata.name", name)])
}

fn selector<const N: usize>(labels: [(&str, &str); N]) -> LabelSelector {
    match_labels(labels.map(labels::owned).into())
}

/// An empty map becomes an absent one: both select everything, but an API server stores the
/// latter, and a selector that is stored otherwise than it was sent would look changed each time.
fn match_labels(labels: BTreeMap<String, String>) -> LabelSelector {
    LabelSelector {
        match_labels: (!labels.is_empty()).then_some(labels),
        match_expressions: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant_namespace::build::test_tenants::acme_corp;

    fn names(policies: &[NetworkPolicy]) -> Vec<&str> {
        policies
            .iter()
            .filter_map(|policy| policy.metadata.name.as_deref())
            .collect()
    }

    #[test]
    fn egress_to_the_internet_comes_and_goes_with_the_plan() {
        for (plan, open) in [
            (Plan::Free, false),
            (Plan::Pro, true),
            (Plan::Enterprise, true),
        ] {
            let tenant = TenantNamespace {
                plan,
                ..acme_corp()
            };
            let policies = build(&tenant, &ClusterOptions::default());
            let name = "unity-allow-egress-internet";
            assert_eq!(names(&policies.wanted).contains(&name), open, "{plan:?}");
            assert_eq!(names(&policies.retired).contains(&name), !open, "{plan:?}");
        }
    }

    #[test]
    fn everything_is_closed_before_anything_is_opened() {
        let policies = build(&acme_corp(), &ClusterOptions::default());
        assert_eq!(names(&policies.wanted).first(), Some(&"unity-default-deny"));
        let deny = policies
            .wanted
            .first()
            .and_then(|policy| policy.spec.clone())
            .unwrap();
        assert_eq!((deny.ingress, deny.egress), (None, None));
        assert_eq!(deny.pod_selector, Some(LabelSelector::default()));
    }

    #[test]
    fn no_rule_lets_in_all_namespaces() {
        let no_labels = PodSource {
            namespace: "edge".into(),
            pod_labels: BTreeMap::new(),
        };
        let options = ClusterOptions {
            ingress_controller: Some(no_labels),
            ..ClusterOptions::default()
        };
        for policy in build(&acme_corp(), &options).wanted {
            let spec = policy.spec.unwrap();
            let ingress = spec
                .ingress
                .unwrap_or_default()
                .into_iter()
                .filter_map(|r| r.from);
            let egress = spec
                .egress
                .unwrap_or_default()
                .into_iter()
                .filter_map(|r| r.to);
            for peer in ingress.chain(egress).flatten() {
                assert_ne!(peer.namespace_selector, Some(LabelSelector::default()));
                assert!(peer.namespace_selector.is_some() || peer.ip_block.is_some());
            }
        }
    }

    #[test]
    fn a_policy_that_the_clusters_options_do_not_ask_for_is_retired() {
        let options = ClusterOptions {
            ingress_controller: None,
            monitoring: None,
            ..ClusterOptions::default()
        };
        let policies = build(&acme_corp(), &options);
        assert_eq!(
            names(&policies.retired),
            ["unity-allow-ingress-controller", "unity-allow-monitoring"]
        );
    }

    #[test]
    fn dns_is_asked_in_kube_system_and_at_the_nodes_own_cache_only() {
        let options = ClusterOptions {
            node_local_dns: Some("169.254.20.10".parse().unwrap()),
            ..ClusterOptions::default()
        };
        let rule = dns(&options).egress.unwrap().remove(0);
        let peers = rule.to.unwrap();
        assert_eq!(peers.len(), 2);
        assert!(peers[0].namespace_selector.is_some() && peers[0].pod_selector.is_some());
        assert_eq!(peers[1].ip_block.as_ref().unwrap().cidr, "169.254.20.10/32");
        assert_eq!(rule.ports.unwrap().len(), 2);
    }
}
