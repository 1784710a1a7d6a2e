//! The whole pipeline against a cluster in memory that keeps what it is given.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::{Client, client::Body};
use serde_json::{Value, json};
use tower::service_fn;
use unity_shared::tenancy::Plan;

use super::{
    Outcome, ProvisionError, ProvisionReport, Step, TenantNamespace,
    build::test_tenants::{acme_corp, free_with_nothing},
    provision,
};
use crate::ClusterClient;

const BINDING: &str =
    "/apis/rbac.authorization.k8s.io/v1/namespaces/tenant-acme-corp/rolebindings/unity-admins";
const INTERNET: &str = "/apis/networking.k8s.io/v1/namespaces/tenant-acme-corp/networkpolicies/unity-allow-egress-internet";
const NAMESPACE: &str = "/api/v1/namespaces/tenant-acme-corp";

/// Objects by path, the requests that wrote, and answers that replace the real one.
#[derive(Default)]
struct Memory {
    objects: BTreeMap<String, Value>,
    last_version: u64,
    writes: Vec<(Method, String)>,
    /// The answer to every write of a path that ends like this.
    refusals: Vec<(&'static str, u16, Value)>,
    /// What somebody else does right after the last object was applied.
    at_the_end: Option<fn(&mut Self)>,
}

impl Memory {
    fn answer(&mut self, method: &Method, path: &str, body: &[u8]) -> (u16, Value) {
        if *method == Method::GET {
            return self
                .objects
                .get(path)
                .map_or_else(not_found, |object| (200, object.clone()));
        }
        self.writes.push((method.clone(), path.to_owned()));
        if let Some((_, code, status)) = self.refusals.iter().find(|(end, ..)| path.ends_with(end))
        {
            return (*code, status.clone());
        }
        if *method == Method::DELETE {
            return self
                .objects
                .remove(path)
                .map_or_else(not_found, |object| (200, object));
        }
        let answer = self.put(path, serde_json::from_slice(body).unwrap_or_default());
        if path.ends_with("/unity-tenant")
            && let Some(act) = self.at_the_end
        {
            act(self);
        }
        answer
    }

    /// Stores the object under the next version, unless it is there as it is.
    fn put(&mut self, path: &str, mut object: Value) -> (u16, Value) {
        let before = self.objects.get(path);
        let version = before.map_or(Value::Null, |it| it["metadata"]["resourceVersion"].clone());
        object["metadata"]["resourceVersion"] = version;
        if before == Some(&object) {
            return (200, object);
        }
        let code = if before.is_some() { 200 } else { 201 };
        self.last_version += 1;
        object["metadata"]["resourceVersion"] = json!(self.last_version.to_string());
        self.objects.insert(path.to_owned(), object.clone());
        (code, object)
    }
}

fn not_found() -> (u16, Value) {
    (
        404,
        json!({"kind": "Status", "code": 404, "reason": "NotFound"}),
    )
}

fn cluster() -> (ClusterClient, Arc<Mutex<Memory>>) {
    let memory = Arc::new(Mutex::new(Memory::default()));
    let shared = Arc::clone(&memory);
    let service = service_fn(move |request: Request<Body>| {
        let memory = Arc::clone(&shared);
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await?.to_bytes();
            let (code, answer) =
                memory
                    .lock()
                    .unwrap()
                    .answer(&head.method, head.uri.path(), &body);
            let code = StatusCode::from_u16(code).unwrap_or_default();
            Response::builder()
                .status(code)
                .body(Body::from(answer.to_string().into_bytes()))
                .map_err(kube::Error::HttpError)
        }
    });
    (
        ClusterClient::new(Client::new(service, "default"), Duration::from_secs(10)),
        memory,
    )
}

async fn run(
    client: &ClusterClient,
    tenant: &TenantNamespace,
) -> Result<ProvisionReport, ProvisionError> {
    provision(client, tenant, &mut |_| {}).await
}

fn outcome(report: &ProvisionReport, name: &str) -> Option<Outcome> {
    report
        .objects
        .iter()
        .find(|object| object.name == name)
        .map(|object| object.outcome)
}

#[tokio::test]
async fn provisioning_may_be_spawned_on_any_thread() {
    let (client, _memory) = cluster();
    let tenant = acme_corp();
    let spawned = tokio::spawn(async move { run(&client, &tenant).await.map(|it| it.changed) });
    assert_eq!(spawned.await.unwrap().unwrap(), 21);
}

#[tokio::test]
async fn everything_is_created_once_and_a_second_run_changes_nothing() {
    let (client, memory) = cluster();
    let first = run(&client, &acme_corp()).await.unwrap();
    assert_eq!((first.changed, first.objects.len()), (21, 21));
    assert!(
        first
            .objects
            .iter()
            .all(|object| object.outcome == Outcome::Created)
    );

    let stored = memory.lock().unwrap().objects.clone();
    memory.lock().unwrap().writes.clear();
    let second = run(&client, &acme_corp()).await.unwrap();
    assert_eq!((second.changed, second.objects.len()), (0, 21));
    assert_eq!(second.desired_hash, first.desired_hash);
    let memory = memory.lock().unwrap();
    assert_eq!(memory.objects, stored);
    assert!(
        memory
            .writes
            .iter()
            .all(|(method, _)| method == Method::PATCH)
    );
}

#[tokio::test]
async fn barriers_are_applied_before_identities() {
    let (client, memory) = cluster();
    run(&client, &acme_corp()).await.unwrap();
    let kinds: Vec<String> = memory
        .lock()
        .unwrap()
        .writes
        .iter()
        .map(|(_, path)| path.rsplit('/').nth(1).unwrap().to_owned())
        .collect();
    let mut in_order = kinds.clone();
    in_order.dedup();
    assert_eq!(
        in_order,
        [
            "clusterroles",
            "namespaces",
            "networkpolicies",
            "resourcequotas",
            "limitranges",
            "serviceaccounts",
            "rolebindings",
            "configmaps",
        ]
    );
}

#[tokio::test]
async fn progress_rises_by_one_to_its_total() {
    let (client, _memory) = cluster();
    let mut steps: Vec<Step> = Vec::new();
    provision(&client, &free_with_nothing(), &mut |step| steps.push(step))
        .await
        .unwrap();
    let total = steps.first().unwrap().total;
    let done: Vec<usize> = steps.iter().map(|step| step.done).collect();
    assert_eq!(done, (0..=total).collect::<Vec<_>>());
    assert!(steps.iter().all(|step| step.total == total));
    assert_eq!(steps[1].message, "ClusterRole unity:deployer created");
}

#[tokio::test]
async fn a_binding_to_another_role_is_replaced() {
    let (client, memory) = cluster();
    run(&client, &acme_corp()).await.unwrap();
    {
        let mut memory = memory.lock().unwrap();
        let mut binding = memory.objects[BINDING].clone();
        binding["roleRef"]["name"] = json!("cluster-admin");
        memory.put(BINDING, binding);
        memory.writes.clear();
    }
    let report = run(&client, &acme_corp()).await.unwrap();
    assert_eq!(outcome(&report, "unity-admins"), Some(Outcome::Changed));
    assert_eq!(report.changed, 1);
    let memory = memory.lock().unwrap();
    assert_eq!(memory.objects[BINDING]["roleRef"]["name"], "unity:admin");
    let of_binding: Vec<&Method> = memory
        .writes
        .iter()
        .filter(|(_, path)| path == BINDING)
        .map(|(method, _)| method)
        .collect();
    assert_eq!(of_binding, [Method::DELETE, Method::PATCH]);
}

#[tokio::test]
async fn a_downgraded_tenant_loses_the_internet_once() {
    let (client, memory) = cluster();
    run(&client, &acme_corp()).await.unwrap();
    let downgraded = TenantNamespace {
        plan: Plan::Free,
        ..acme_corp()
    };
    let report = run(&client, &downgraded).await.unwrap();
    assert_eq!(
        outcome(&report, "unity-allow-egress-internet"),
        Some(Outcome::Removed)
    );
    assert!(!memory.lock().unwrap().objects.contains_key(INTERNET));

    let again = run(&client, &downgraded).await.unwrap();
    assert_eq!(outcome(&again, "unity-allow-egress-internet"), None);
    assert_eq!(again.changed, 0);
}

#[tokio::test]
async fn a_policy_that_unity_did_not_make_is_not_removed() {
    let (client, memory) = cluster();
    let theirs = json!({"metadata": {"name": "unity-allow-egress-internet"}});
    memory.lock().unwrap().put(INTERNET, theirs);
    let free = TenantNamespace {
        plan: Plan::Free,
        ..acme_corp()
    };
    run(&client, &free).await.unwrap();
    assert!(memory.lock().unwrap().objects.contains_key(INTERNET));
}

#[tokio::test]
async fn a_foreign_namespace_is_refused_before_anything_is_written() {
    let (client, memory) = cluster();
    memory
        .lock()
        .unwrap()
        .put(NAMESPACE, json!({"metadata": {"name": "tenant-acme-corp"}}));
    let error = run(&client, &acme_corp()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("namespace.foreign", false)
    );
    assert_eq!(memory.lock().unwrap().writes, []);
}

#[tokio::test]
async fn a_refused_object_is_named_with_its_cause() {
    let (client, memory) = cluster();
    let status = json!({"kind": "Status", "code": 403, "message": "limitranges is forbidden"});
    memory
        .lock()
        .unwrap()
        .refusals
        .push(("/unity-defaults", 403, status));
    let error = run(&client, &acme_corp()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("cluster.forbidden", false)
    );
    assert_eq!(
        error.message(),
        "could not apply LimitRange tenant-acme-corp/unity-defaults: \
         the cluster forbids it: limitranges is forbidden"
    );
    assert_eq!(
        error.to_string(),
        "could not apply LimitRange tenant-acme-corp/unity-defaults"
    );
}

#[tokio::test]
async fn a_run_that_failed_half_way_is_completed_by_the_next() {
    let (client, memory) = cluster();
    let status = json!({"kind": "Status", "code": 500, "message": "etcd has no leader"});
    memory
        .lock()
        .unwrap()
        .refusals
        .push(("/unity-defaults", 500, status));
    let error = run(&client, &acme_corp()).await.unwrap_err();
    assert_eq!(
        (error.code(), error.retryable()),
        ("cluster.unavailable", true)
    );

    memory.lock().unwrap().refusals.clear();
    let report = run(&client, &acme_corp()).await.unwrap();
    assert_eq!(
        outcome(&report, "unity-default-deny"),
        Some(Outcome::Unchanged)
    );
    assert_eq!(outcome(&report, "unity-defaults"), Some(Outcome::Created));
}

#[tokio::test]
async fn a_namespace_that_goes_away_under_way_is_worth_another_try() {
    for (code, details, expected) in [
        (
            403,
            json!({"causes": [{"reason": "NamespaceTerminating"}]}),
            "namespace.terminating",
        ),
        (
            404,
            json!({"kind": "namespaces", "name": "tenant-acme-corp"}),
            "namespace.vanished",
        ),
    ] {
        let (client, memory) = cluster();
        let status = json!({"kind": "Status", "code": code, "details": details});
        memory
            .lock()
            .unwrap()
            .refusals
            .push(("/unity-compute", code, status));
        let error = run(&client, &acme_corp()).await.unwrap_err();
        assert_eq!((error.code(), error.retryable()), (expected, true));
        assert!(error.message().contains("tenant-acme-corp"));
    }
}

#[tokio::test]
async fn a_run_only_succeeds_if_the_namespace_outlives_it() {
    let vanish: fn(&mut Memory) = |memory| {
        memory.objects.remove(NAMESPACE);
    };
    let terminate: fn(&mut Memory) = |memory| {
        let mut namespace = memory.objects[NAMESPACE].clone();
        namespace["status"] = json!({"phase": "Terminating"});
        memory.put(NAMESPACE, namespace);
    };
    let take: fn(&mut Memory) = |memory| {
        let theirs = json!({"metadata": {"name": "tenant-acme-corp"}});
        memory.put(NAMESPACE, theirs);
    };
    for (act, expected) in [
        (vanish, "namespace.vanished"),
        (terminate, "namespace.terminating"),
        (take, "namespace.foreign"),
    ] {
        let (client, memory) = cluster();
        memory.lock().unwrap().at_the_end = Some(act);
        assert_eq!(
            run(&client, &acme_corp()).await.unwrap_err().code(),
            expected
        );
    }
}
