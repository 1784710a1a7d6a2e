//! What is refused is told, and cannot be made to fill the disk.

use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use super::{entries, entry_of};
use crate::harness::{Stack, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_beyond_the_callers_role_is_told_to_its_tenant() {
    let stack = Stack::still().await;
    let admin = stack.create_tenant("acme").await;
    let viewer = stack.caller_with_role("acme", Role::TenantViewer).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let refused = viewer
        .post("/api/v1/jobs", &order)
        .await
        .problem(403, "role.insufficient");
    let told = entry_of(&admin, &refused, "&result=denied").await;
    assert_eq!(told["action"], "access.denied");
    assert_eq!(
        (&told["object_type"], &told["object_id"]),
        (&json!("route"), &json!("/api/v1/jobs"))
    );
    assert_eq!(told["detail"]["code"], "role.insufficient");
    assert_eq!(told["detail"]["method"], "POST");
    assert_eq!(told["actor_display"], "tenant-viewer key");
    // An administrator of the platform without leave is told to the platform.
    let refused = stack
        .admin
        .get("/api/v1/jobs")
        .await
        .problem(403, "tenant.required");
    let told = entry_of(&stack.admin, &refused, "&result=denied").await;
    assert_eq!(told["detail"]["code"], "tenant.required");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reaching_for_another_tenant_is_told_to_ones_own_and_to_the_platform() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let theirs = stack.probe(&bravo, json!({})).await;
    let nobodys = uuid::Uuid::now_v7();
    let mut asked = Vec::new();
    for path in [
        "/api/v1/tenants/bravo".to_owned(),
        "/api/v1/tenants/bravo/job-limits".to_owned(),
        format!("/api/v1/jobs/{theirs}"),
        format!("/api/v1/jobs/{theirs}/why"),
    ] {
        asked.push(alpha.get(&path).await.problem(404, "not_found"));
    }
    alpha
        .get(&format!("/api/v1/jobs/{nobodys}"))
        .await
        .problem(404, "not_found");
    for caller in [&alpha, &stack.admin] {
        let told = eventually("four refusals are told", || async {
            let told = entries(caller, "&action=access.denied").await;
            (told.len() == 4).then_some(told)
        })
        .await;
        let ids: Vec<&Value> = told.iter().map(|told| &told["request_id"]).collect();
        for answer in &asked {
            assert!(ids.contains(&&json!(answer.header("x-request-id"))));
        }
        assert!(
            told.iter()
                .all(|told| told["detail"]["cross_tenant"] == true)
        );
    }
    let own = entries(&alpha, "&object=bravo").await;
    assert_eq!(own.len(), 2, "{own:#?}");
    assert_eq!(entries(&alpha, &format!("&object={theirs}")).await.len(), 2);
    // The other tenant does not learn who reached for it.
    assert!(entries(&bravo, "&result=denied").await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_of_a_tenant_that_is_not_in_use_are_told_of() {
    let stack = Stack::still().await;
    let acme = stack.create_tenant("acme").await;
    let suspend = "/api/v1/tenants/acme/suspend";
    let reason = json!({ "reason": "unpaid" });
    stack.admin.post(suspend, &reason).await.expect(200);
    let refused = eventually("the tenant is refused", || async {
        let answer = acme.get("/api/v1/jobs").await;
        (answer.status == 403).then_some(answer)
    })
    .await;
    let told = entry_of(&stack.admin, &refused, "&tenant=acme&result=denied").await;
    assert_eq!(told["detail"]["code"], "tenant.suspended");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_is_a_few_entries() {
    let stack = Stack::still().await;
    let admin = stack.create_tenant("acme").await;
    let viewer = stack.caller_with_role("acme", Role::TenantViewer).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let flood = (0..100).map(|_| viewer.post("/api/v1/jobs", &order));
    for answer in futures::future::join_all(flood).await {
        answer.problem(403, "role.insufficient");
    }
    assert_eq!(entries(&admin, "&action=access.denied").await.len(), 30);
    // Others of the tenant are told of all the same.
    let other = stack.caller_with_role("acme", Role::TenantViewer).await;
    other
        .post("/api/v1/jobs", &order)
        .await
        .problem(403, "role.insufficient");
    assert_eq!(entries(&admin, "&action=access.denied").await.len(), 31);
    stack.stop().await;
}
