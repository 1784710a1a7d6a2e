//! A tenant's name, plan and quotas are changed while it is in use.

use k8s_openapi::api::core::v1::ResourceQuota;
use kube::Api;
use reqwest::Method;
use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use crate::harness::{Caller, Stack, StackOptions};

const PATH: &str = "/api/v1/tenants/changed";

async fn patch_if(caller: &Caller, patch: &Value, etag: &str) -> crate::harness::Answer {
    let headers = [
        ("content-type", "application/merge-patch+json"),
        ("if-match", etag),
    ];
    let body = Some(patch.to_string().into_bytes());
    caller.send(Method::PATCH, PATH, &headers, body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_plan_and_quota_reach_the_namespace_and_the_job_limits() {
    let stack = Stack::start().await;
    let tenant = stack.create_tenant("changed").await;
    let before = stack.admin.get(PATH).await.expect(200);
    let patch = json!({ "plan": "enterprise", "resource_quota": { "cpu_cores": 7, "users": 3 } });
    let changed = patch_if(&stack.admin, &patch, before.header("etag"))
        .await
        .expect(200);
    assert_eq!(changed.json["plan"], "enterprise");
    assert_eq!(changed.json["resource_quota"]["cpu_cores"], 7);
    assert_eq!(changed.json["resource_quota"]["memory_gb"], 250);
    assert_ne!(changed.header("etag"), before.header("etag"));
    let job = stack.ended(&tenant, &changed.text_of("job_id")).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    let quotas = Api::<ResourceQuota>::namespaced(stack.cluster.kube().await, "tenant-changed");
    let hard = quotas
        .get("unity-compute")
        .await
        .unwrap()
        .spec
        .unwrap()
        .hard
        .unwrap();
    assert_eq!(
        (&*hard["requests.cpu"].0, &*hard["requests.memory"].0),
        ("7", "250Gi")
    );
    let limits = tenant
        .get(&format!("{PATH}/job-limits"))
        .await
        .expect(200)
        .json;
    assert_eq!(limits["max_concurrent"], 100);
    let old = before.header("etag");
    patch_if(&stack.admin, &patch, old)
        .await
        .problem(412, "precondition.failed");
    // A null takes an own value back; what is not named stays.
    let patch = json!({ "resource_quota": { "cpu_cores": null } });
    let changed = stack.admin.patch(PATH, &patch).await.expect(200).json;
    assert_eq!(changed["resource_quota"]["cpu_cores"], 100);
    assert_eq!(changed["resource_quota"]["users"], 3);
    let same = stack.admin.patch(PATH, &json!({})).await.expect(200).json;
    assert_eq!(same["updated_at"], changed["updated_at"]);
    assert!(same["job_id"].is_null());
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_renames_their_own_tenant_and_changes_nothing_else() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let own = stack.create_tenant("changed").await;
    let other = stack.create_tenant("other").await;
    let renamed = own
        .patch(PATH, &json!({ "name": "New name" }))
        .await
        .expect(200);
    assert_eq!(renamed.json["name"], "New name");
    let seen = stack.admin.get(PATH).await.expect(200);
    assert_eq!(
        (seen.header("etag"), &seen.json["name"]),
        (renamed.header("etag"), &json!("New name"))
    );
    for refused in [
        json!({ "plan": "enterprise" }),
        json!({ "plan": null }),
        json!({ "resource_quota": { "users": 9 } }),
        json!({ "name": "x", "resource_quota": null }),
    ] {
        own.patch(PATH, &refused)
            .await
            .problem(403, "role.insufficient");
    }
    let member = stack.caller_with_role("changed", Role::TenantMember).await;
    member
        .patch(PATH, &json!({ "name": "x" }))
        .await
        .problem(403, "role.insufficient");
    for path in [PATH, "/api/v1/tenants/nobody"] {
        other
            .patch(path, &json!({ "name": "x" }))
            .await
            .problem(404, "not_found");
    }
    for (patch, status) in [
        (json!({ "name": "" }), 422),
        (json!({ "name": null }), 422),
        (json!({ "resource_quota": { "users": -1 } }), 422),
        (json!({ "resource_quota": { "gpus": 1 } }), 400),
        (json!({ "status": "active" }), 400),
        (json!({ "id": "else" }), 400),
    ] {
        stack.admin.patch(PATH, &patch).await.expect(status);
    }
    assert_eq!(stack.admin.get(PATH).await.expect(200).json, seen.json);
    stack.stop().await;
}
