//! A tenant is created over the API and its namespace appears in the cluster.

use k8s_openapi::api::{
    core::v1::{LimitRange, Namespace, ResourceQuota, ServiceAccount},
    networking::v1::NetworkPolicy,
    rbac::v1::{ClusterRole, RoleBinding},
};
use kube::{
    Api,
    api::{ListParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

use crate::harness::{Stack, StackOptions};

fn document_body() -> Value {
    json!({
        "id": "acme-corp",
        "name": "Acme Corporation",
        "plan": "enterprise",
        "resource_quota": {
            "kubernetes_clusters": 10, "cpu_cores": 100, "memory_gb": 256, "storage_gb": 1000,
            "api_calls_per_hour": 100_000
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_created_and_its_namespace_provisioned() {
    let stack = Stack::start().await;
    let created = stack
        .admin
        .post("/api/v1/tenants", &document_body())
        .await
        .expect(201);
    assert_eq!(created.json["tenant_id"], "acme-corp");
    assert_eq!(created.json["status"], "active");
    assert_eq!(created.json["namespace"], "tenant-acme-corp");
    assert_eq!(created.json["admin_email"], "admin@acme-corp.com");
    assert!(created.text_of("admin_password").len() >= 16);
    assert!(created.text_of("api_key").starts_with("uk_acme_corp_"));
    let job_id = created.text_of("job_id");
    assert_eq!(created.header("location"), format!("/api/v1/jobs/{job_id}"));

    let tenant = stack.admin.with_key(&created.text_of("api_key"));
    let job = stack.ended(&tenant, &job_id).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["progress"]["percent"], 100);
    assert_eq!(job["result"]["namespace"], "tenant-acme-corp");
    let attempts = tenant
        .get(&format!("/api/v1/jobs/{job_id}/attempts"))
        .await
        .expect(200)
        .json;
    assert_eq!(attempts["items"].as_array().unwrap().len(), 1);
    assert_eq!(attempts["items"][0]["outcome"], "succeeded");

    namespace_is_complete(&stack).await;
    stack.finish().await;
}

async fn namespace_is_complete(stack: &Stack) {
    let kube = stack.cluster.kube().await;
    let name = "tenant-acme-corp";
    let namespace = Api::<Namespace>::all(kube.clone()).get(name).await.unwrap();
    let labels = namespace.metadata.labels.unwrap();
    assert_eq!(labels["tenant-id"], "acme-corp");
    assert_eq!(labels["managed-by"], "unity");
    assert_eq!(labels["pod-security.kubernetes.io/enforce"], "restricted");
    let quota = Api::<ResourceQuota>::namespaced(kube.clone(), name)
        .get("unity-compute")
        .await;
    let hard = quota.unwrap().spec.unwrap().hard.unwrap();
    assert_eq!(hard["requests.cpu"].0, "100");
    assert_eq!(hard["limits.memory"].0, "256Gi");
    let all = ListParams::default();
    let policies = Api::<NetworkPolicy>::namespaced(kube.clone(), name)
        .list(&all)
        .await
        .unwrap();
    assert!(policies.items.len() >= 5);
    assert!(
        Api::<LimitRange>::namespaced(kube.clone(), name)
            .get("unity-defaults")
            .await
            .is_ok()
    );
    let account = Api::<ServiceAccount>::namespaced(kube.clone(), name)
        .get("unity-acme-corp")
        .await
        .unwrap();
    assert_eq!(account.automount_service_account_token, Some(false));
    let bindings = Api::<RoleBinding>::namespaced(kube.clone(), name)
        .list(&all)
        .await
        .unwrap();
    assert_eq!(bindings.items.len(), 4);
    assert!(
        Api::<ClusterRole>::all(kube)
            .get("unity:deployer")
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn provisioning_twice_changes_nothing() {
    let stack = Stack::start().await;
    let tenant = stack.create_tenant("twice").await;
    let body = json!({ "kind": "provision_namespace", "payload": {} });
    let first = tenant
        .post("/api/v1/jobs", &body)
        .await
        .expect(202)
        .text_of("id");
    let second = tenant
        .post("/api/v1/jobs", &body)
        .await
        .expect(202)
        .text_of("id");
    stack.ended(&tenant, &first).await;
    let job = stack.ended(&tenant, &second).await;
    assert_eq!(job["status"], "succeeded");
    let objects = job["result"]["objects"].as_array().unwrap();
    assert!(!objects.is_empty());
    for object in objects {
        assert_eq!(object["outcome"], "unchanged", "{object}");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_changed_by_hand_is_put_right_and_a_foreign_label_stays() {
    let stack = Stack::start().await;
    let tenant = stack.create_tenant("drift").await;
    let id = provision(&tenant).await;
    stack.ended(&tenant, &id).await;
    let kube = stack.cluster.kube().await;
    let quotas = Api::<ResourceQuota>::namespaced(kube.clone(), "tenant-drift");
    let by_hand = PatchParams {
        field_manager: Some("hand".into()),
        ..PatchParams::default()
    };
    let more = json!({
        "metadata": { "labels": { "team": "blue" } }, "spec": { "hard": { "limits.cpu": "9999" } }
    });
    quotas
        .patch("unity-compute", &by_hand, &Patch::Merge(more))
        .await
        .unwrap();

    let id = provision(&tenant).await;
    let job = stack.ended(&tenant, &id).await;
    assert_eq!(job["result"]["changed"], 1, "{job}");
    let quota = quotas.get("unity-compute").await.unwrap();
    assert_eq!(quota.spec.unwrap().hard.unwrap()["limits.cpu"].0, "50");
    assert_eq!(quota.metadata.labels.unwrap()["team"], "blue");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_somebody_else_made_is_not_taken_over() {
    let stack = Stack::start().await;
    let kube = stack.cluster.kube().await;
    let foreign: Namespace =
        serde_json::from_value(json!({ "metadata": { "name": "tenant-foreign" } })).unwrap();
    Api::<Namespace>::all(kube.clone())
        .create(&PostParams::default(), &foreign)
        .await
        .unwrap();
    let created = stack
        .admin
        .post("/api/v1/tenants", &crate::harness::tenant_body("foreign"))
        .await
        .expect(201);
    let tenant = stack.admin.with_key(&created.text_of("api_key"));
    let job = stack.ended(&tenant, &created.text_of("job_id")).await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["error"]["code"], "namespace.foreign");
    assert_eq!(job["error"]["retryable"], false);
    let accounts = Api::<ServiceAccount>::namespaced(kube, "tenant-foreign");
    assert!(accounts.get("unity-foreign").await.is_err());
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_row_and_its_job_row_are_one_commit() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    stack
        .admin
        .post("/api/v1/tenants", &document_body())
        .await
        .expect(201);
    // xmin is the transaction that wrote a row: the same for both means committed together.
    let together = "SELECT count(*) FROM tenants JOIN jobs ON jobs.tenant_id = tenants.id
                    WHERE tenants.xmin = jobs.xmin";
    assert_eq!(stack.count(together).await, 1);
    stack
        .admin
        .post("/api/v1/tenants", &document_body())
        .await
        .problem(409, "tenant.exists");
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, 1);
    stack.stop().await;
}

async fn provision(tenant: &crate::harness::Caller) -> String {
    let body = json!({ "kind": "provision_namespace", "payload": {} });
    tenant
        .post("/api/v1/jobs", &body)
        .await
        .expect(202)
        .text_of("id")
}
