//! Provisioning over real HTTP against the simulated API server, with a client that is built from
//! a kubeconfig file as in production.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a panic is how a test says no, also in what the tests share"
)]

use std::io::Write as _;

use k8s_openapi::api::{
    authorization::v1::SelfSubjectAccessReview,
    core::v1::{ConfigMap, Namespace, Pod, ResourceQuota as QuotaObject},
    networking::v1::NetworkPolicy,
    rbac::v1::RoleBinding,
};
use kube::{
    Api, Client, Config, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde_json::json;
use unity_kubernetes::{
    ClusterClient, ClusterOptions, Outcome, ProvisionError, ProvisionReport, TenantNamespace,
    provision,
};
use unity_shared::tenancy::Plan;
use unity_simulator::{Simulator, SimulatorConfig};

const NAMESPACE: &str = "tenant-acme-corp";

/// A cluster, Unity's client for it, and an administrator's.
struct Cluster {
    simulator: Simulator,
    client: ClusterClient,
    admin: Client,
}

impl Cluster {
    async fn start() -> Self {
        let simulator = Simulator::start(SimulatorConfig::default()).await.unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(simulator.kubeconfig().as_bytes()).unwrap();
        let client = ClusterClient::from_kubeconfig(file.path(), None)
            .await
            .unwrap();

        let admin = Client::try_from(config(&simulator).await).unwrap();
        Self {
            simulator,
            client,
            admin,
        }
    }

    /// The answer of the cluster to whether somebody of this group of the tenant may do this.
    async fn may(&self, group: &str, namespace: &str, verb: &str, resource: &str) -> bool {
        let mut config = config(&self.simulator).await;
        config.auth_info.impersonate = Some("somebody".to_owned());
        config.auth_info.impersonate_groups = Some(vec![format!("unity:tenant:acme-corp:{group}")]);
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let question = json!({"spec": {"resourceAttributes": {
            "namespace": namespace, "verb": verb, "resource": resource, "subresource": subresource,
        }}});
        let question: SelfSubjectAccessReview = serde_json::from_value(question).unwrap();
        Api::all(Client::try_from(config).unwrap())
            .create(&PostParams::default(), &question)
            .await
            .unwrap()
            .status
            .unwrap()
            .allowed
    }

    async fn provision(&self, tenant: &TenantNamespace) -> Result<ProvisionReport, ProvisionError> {
        provision(&self.client, tenant, &mut |_step| {}).await
    }

    /// The methods of all requests since the log had `since` entries.
    fn methods(&self, since: usize) -> Vec<String> {
        let entries = self.simulator.requests().entries();
        entries
            .into_iter()
            .skip(since)
            .map(|(method, _path)| method)
            .collect()
    }

    async fn stop(self) {
        drop((self.client, self.admin));
        self.simulator.shutdown().await;
    }
}

/// What the simulator's kubeconfig says.
async fn config(simulator: &Simulator) -> Config {
    let kubeconfig = Kubeconfig::from_yaml(&simulator.kubeconfig()).unwrap();
    Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap()
}

fn acme_corp() -> TenantNamespace {
    TenantNamespace {
        tenant_id: "acme-corp".parse().unwrap(),
        tenant_uid: "0190a000-0000-7000-8000-000000000001".parse().unwrap(),
        plan: Plan::Enterprise,
        quota: Plan::Enterprise.default_quota(),
    }
}

fn outcomes(report: &ProvisionReport) -> Vec<(&str, Outcome)> {
    report
        .objects
        .iter()
        .map(|object| (object.name.as_str(), object.outcome))
        .collect()
}

fn changed(report: &ProvisionReport) -> Vec<(&str, Outcome)> {
    let mut outcomes = outcomes(report);
    outcomes.retain(|(_, outcome)| *outcome != Outcome::Unchanged);
    outcomes
}

#[tokio::test]
async fn a_second_run_changes_nothing_and_only_patches() {
    let cluster = Cluster::start().await;
    let first = cluster.provision(&acme_corp()).await.unwrap();
    // The cluster makes the `default` service account of a namespace by itself.
    for (name, outcome) in outcomes(&first) {
        let expected = if name == "default" {
            Outcome::Changed
        } else {
            Outcome::Created
        };
        assert_eq!(outcome, expected, "{name}");
    }

    let namespaces = Api::<Namespace>::all(cluster.admin.clone());
    let policies = Api::<NetworkPolicy>::namespaced(cluster.admin.clone(), NAMESPACE);
    let version_before = namespaces
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata;
    let before = cluster.simulator.requests().entries().len();
    let second = cluster.provision(&acme_corp()).await.unwrap();
    assert_eq!(changed(&second), []);
    assert_eq!(second.changed, 0);
    assert_eq!(second.objects.len(), first.objects.len());
    assert_eq!(second.desired_hash, first.desired_hash);
    let methods = cluster.methods(before);
    assert!(
        methods
            .iter()
            .all(|method| method == "GET" || method == "PATCH"),
        "{methods:?}"
    );
    // A list carries the version of the whole store: not one object anywhere moved.
    let version_after = namespaces
        .list(&ListParams::default())
        .await
        .unwrap()
        .metadata;
    assert_eq!(
        version_before.resource_version,
        version_after.resource_version
    );
    assert_eq!(
        policies
            .list(&ListParams::default())
            .await
            .unwrap()
            .items
            .len(),
        6
    );
    cluster.stop().await;
}

#[tokio::test]
async fn labels_and_objects_of_others_survive() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let namespaces = Api::<Namespace>::all(cluster.admin.clone());
    let config_maps = Api::<ConfigMap>::namespaced(cluster.admin.clone(), NAMESPACE);
    let label = Patch::Merge(json!({"metadata": {"labels": {"cost-centre": "42"}}}));
    namespaces
        .patch(NAMESPACE, &PatchParams::default(), &label)
        .await
        .unwrap();
    let mut theirs = ConfigMap::default();
    theirs.metadata.name = Some("theirs".to_owned());
    config_maps
        .create(&PostParams::default(), &theirs)
        .await
        .unwrap();

    let report = cluster.provision(&acme_corp()).await.unwrap();
    assert_eq!(changed(&report), []);
    let namespace = namespaces.get(NAMESPACE).await.unwrap();
    assert_eq!(
        namespace.labels().get("cost-centre").map(String::as_str),
        Some("42")
    );
    assert!(config_maps.get_opt("theirs").await.unwrap().is_some());
    cluster.stop().await;
}

#[tokio::test]
async fn what_was_changed_by_hand_is_put_right() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let quotas = Api::<QuotaObject>::namespaced(cluster.admin.clone(), NAMESPACE);
    let policies = Api::<NetworkPolicy>::namespaced(cluster.admin.clone(), NAMESPACE);
    let more = Patch::Merge(json!({"spec": {"hard": {"limits.cpu": "9999"}}}));
    quotas
        .patch("unity-compute", &PatchParams::default(), &more)
        .await
        .unwrap();
    policies
        .delete("unity-default-deny", &DeleteParams::default())
        .await
        .unwrap();

    let report = cluster.provision(&acme_corp()).await.unwrap();
    assert_eq!(
        changed(&report),
        [
            ("unity-default-deny", Outcome::Created),
            ("unity-compute", Outcome::Changed)
        ]
    );
    let hard = quotas
        .get("unity-compute")
        .await
        .unwrap()
        .spec
        .unwrap()
        .hard
        .unwrap();
    assert_eq!(hard["limits.cpu"].0, "100");
    cluster.stop().await;
}

#[tokio::test]
async fn a_new_plan_and_new_quotas_take_effect_and_the_old_ones_end() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let downgraded = TenantNamespace {
        plan: Plan::Free,
        quota: Plan::Free.default_quota(),
        ..acme_corp()
    };
    let report = cluster.provision(&downgraded).await.unwrap();
    assert_eq!(
        changed(&report),
        [
            (NAMESPACE, Outcome::Changed),
            ("unity-allow-egress-internet", Outcome::Removed),
            ("unity-compute", Outcome::Changed),
            ("unity-tenant", Outcome::Changed),
        ]
    );
    assert_eq!(cluster.provision(&downgraded).await.unwrap().changed, 0);
    cluster.stop().await;
}

#[tokio::test]
async fn a_binding_to_another_role_is_replaced() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let bindings = Api::<RoleBinding>::namespaced(cluster.admin.clone(), NAMESPACE);
    let mut binding = bindings.get("unity-viewers").await.unwrap();
    bindings
        .delete("unity-viewers", &DeleteParams::default())
        .await
        .unwrap();
    binding.role_ref.name = "cluster-admin".to_owned();
    binding.metadata.resource_version = None;
    binding.metadata.uid = None;
    bindings
        .create(&PostParams::default(), &binding)
        .await
        .unwrap();

    let report = cluster.provision(&acme_corp()).await.unwrap();
    assert_eq!(changed(&report), [("unity-viewers", Outcome::Changed)]);
    let role = bindings.get("unity-viewers").await.unwrap().role_ref.name;
    assert_eq!(role, "unity:viewer");
    cluster.stop().await;
}

#[tokio::test]
async fn a_foreign_namespace_is_refused_and_not_touched() {
    let cluster = Cluster::start().await;
    let namespaces = Api::<Namespace>::all(cluster.admin.clone());
    let mut foreign = Namespace::default();
    foreign.metadata.name = Some(NAMESPACE.to_owned());
    let foreign = namespaces
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();

    let writes = cluster.simulator.requests().writes();
    let error = cluster.provision(&acme_corp()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("namespace.foreign", false)
    );
    assert_eq!(cluster.simulator.requests().writes(), writes);
    let now = namespaces.get(NAMESPACE).await.unwrap();
    assert_eq!(now.resource_version(), foreign.resource_version());
    cluster.stop().await;
}

#[tokio::test]
async fn a_tenant_of_the_same_name_does_not_inherit_a_namespace() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let successor = TenantNamespace {
        tenant_uid: "0190a000-0000-7000-8000-00000000beef".parse().unwrap(),
        ..acme_corp()
    };
    let error = cluster.provision(&successor).await.unwrap_err();
    assert_eq!(error.code(), "namespace.foreign");
    cluster.stop().await;
}

#[tokio::test]
async fn a_namespace_that_is_being_deleted_is_tried_again_until_it_is_gone() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let namespaces = Api::<Namespace>::all(cluster.admin.clone());
    let config_maps = Api::<ConfigMap>::namespaced(cluster.admin.clone(), NAMESPACE);
    let mut held = ConfigMap::default();
    held.metadata.name = Some("held".to_owned());
    held.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    config_maps
        .create(&PostParams::default(), &held)
        .await
        .unwrap();
    namespaces
        .delete(NAMESPACE, &DeleteParams::default())
        .await
        .unwrap();

    let error = cluster.provision(&acme_corp()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("namespace.terminating", true)
    );

    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    config_maps
        .patch("held", &PatchParams::default(), &release)
        .await
        .unwrap();
    wait_until_gone(&namespaces).await;
    let report = cluster.provision(&acme_corp()).await.unwrap();
    assert!(report.changed > 0);
    cluster.stop().await;
}

/// Asks again after each answer until the namespace is gone.
async fn wait_until_gone(namespaces: &Api<Namespace>) {
    for _attempt in 0..1000 {
        if namespaces.get_opt(NAMESPACE).await.unwrap().is_none() {
            return;
        }
    }
    panic!("namespace {NAMESPACE} is still there");
}

#[tokio::test]
async fn a_quota_of_nothing_lets_no_pod_in() {
    let cluster = Cluster::start().await;
    let mut tenant = acme_corp();
    tenant.quota.cpu_cores = 0;
    tenant.quota.memory_gb = 0;
    cluster.provision(&tenant).await.unwrap();
    assert_eq!(cluster.provision(&tenant).await.unwrap().changed, 0);

    let pods = Api::<Pod>::namespaced(cluster.admin.clone(), NAMESPACE);
    let pod = json!({
        "metadata": {"name": "greedy"},
        "spec": {"containers": [{"name": "main", "image": "example.com/greedy:1"}]},
    });
    let pod: Pod = serde_json::from_value(pod).unwrap();
    let error = pods.create(&PostParams::default(), &pod).await.unwrap_err();
    assert!(
        matches!(&error, kube::Error::Api(status) if status.code == 403),
        "{error:?}"
    );
    cluster.stop().await;
}

#[tokio::test]
async fn options_of_the_cluster_take_policies_away_and_bring_them_back() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    let closed = ClusterOptions {
        monitoring: None,
        ..ClusterOptions::default()
    };
    let client = cluster.client.clone().with_options(closed);
    let report = provision(&client, &acme_corp(), &mut |_step| {})
        .await
        .unwrap();
    assert!(changed(&report).contains(&("unity-allow-monitoring", Outcome::Removed)));

    let report = cluster.provision(&acme_corp()).await.unwrap();
    assert!(changed(&report).contains(&("unity-allow-monitoring", Outcome::Created)));
    cluster.stop().await;
}

#[tokio::test]
async fn a_cluster_tells_its_version_until_it_is_gone() {
    let cluster = Cluster::start().await;
    assert!(cluster.client.check().await.unwrap().starts_with("v1."));
    let client = cluster.client.clone();
    cluster.stop().await;
    let error = client.check().await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("cluster.unreachable", true)
    );
}

#[tokio::test]
async fn each_group_may_do_what_its_role_says_and_only_at_home() {
    let cluster = Cluster::start().await;
    cluster.provision(&acme_corp()).await.unwrap();
    for (group, verb, resource, allowed) in [
        ("viewers", "list", "pods", true),
        ("viewers", "create", "pods", false),
        ("viewers", "get", "pods/log", false),
        ("viewers", "get", "secrets", false),
        ("members", "create", "pods", true),
        ("members", "get", "pods/log", true),
        ("members", "get", "pods/exec", false),
        ("members", "get", "secrets", false),
        ("admins", "get", "secrets", true),
        ("admins", "create", "pods/exec", true),
        ("admins", "patch", "namespaces", false),
        ("admins", "patch", "resourcequotas", false),
        ("admins", "create", "serviceaccounts/token", false),
        ("strangers", "list", "pods", false),
    ] {
        let at_home = cluster.may(group, NAMESPACE, verb, resource).await;
        assert_eq!(at_home, allowed, "{group} {verb} {resource}");
        let elsewhere = cluster.may(group, "default", verb, resource).await;
        assert!(!elsewhere, "{group} {verb} {resource} elsewhere");
    }
    cluster.stop().await;
}
