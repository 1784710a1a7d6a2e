//! `If-Match`: a change is made to the version that the caller has seen, or not at all.

use reqwest::Method;
use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use crate::harness::{Answer, Caller, Stack};

const PROVIDER: &str = "/api/v1/tenants/acme/identity-provider";
const LIMITS: &str = "/api/v1/tenants/acme/job-limits";

async fn send_if(caller: &Caller, method: Method, path: &str, tag: &str, body: &Value) -> Answer {
    let headers = [("content-type", "application/json"), ("if-match", tag)];
    let body = (method != Method::DELETE).then(|| body.to_string().into_bytes());
    caller.send(method, path, &headers, body).await
}

fn provider(client: &str) -> Value {
    json!({ "issuer": "https://login.example", "client_id": client, "client_secret": "secret" })
}

#[tokio::test(flavor = "multi_thread")]
async fn job_limits_are_set_on_the_version_of_the_tenant_that_was_seen() {
    let stack = Stack::still().await;
    let acme = stack.create_tenant("acme").await;
    let seen = acme.get(LIMITS).await.expect(200).header("etag").to_owned();
    let tenant = acme.get("/api/v1/tenants/acme").await.expect(200);
    assert_eq!(tenant.header("etag"), seen);
    let limits = |most: u32| json!({ "max_concurrent": most });
    let set = |tag: String, most: u32| {
        let admin = stack.admin.clone();
        async move { send_if(&admin, Method::PUT, LIMITS, &tag, &limits(most)).await }
    };
    let (one, other) = tokio::join!(set(seen.clone(), 7), set(seen.clone(), 8));
    let mut statuses = [one.status.as_u16(), other.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(
        statuses,
        [200, 412],
        "of two who saw one version one is first"
    );
    set(seen, 9).await.problem(412, "precondition.failed");
    let now = acme.get(LIMITS).await.expect(200);
    let again = set(now.header("etag").to_owned(), 10).await.expect(200);
    assert_ne!(again.header("etag"), now.header("etag"));
    set("*".to_owned(), 11).await.expect(200);
    set(String::new(), 12).await.problem(400, "header.invalid");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_is_compared_with_the_version_that_was_seen_also_when_nothing_is_to_change() {
    let stack = Stack::still().await;
    let acme = stack.create_tenant("acme").await;
    let person = stack
        .person("member@acme.example", &[("acme", Role::TenantViewer)])
        .await;
    let path = format!("/api/v1/tenants/acme/members/{}", person.id);
    let seen = acme.get(&path).await.expect(200).header("etag").to_owned();
    let change = |tag: String, body: Value| {
        let (acme, path) = (acme.clone(), path.clone());
        async move { send_if(&acme, Method::PATCH, &path, &tag, &body).await }
    };
    change(seen.clone(), json!({})).await.expect(200);
    change(seen.clone(), json!({ "role": "member" }))
        .await
        .expect(200);
    for body in [json!({}), json!({ "role": "admin" })] {
        change(seen.clone(), body)
            .await
            .problem(412, "precondition.failed");
    }
    let refused = change("*".to_owned(), json!({ "role": null })).await;
    let refused = refused.problem(422, "validation.failed");
    assert_eq!(refused.json["errors"][0]["pointer"], "/role");
    let shown = acme.get(&path).await.expect(200);
    assert_eq!(shown.json["role"], "tenant-member");
    let nobodys = format!("/api/v1/tenants/acme/members/{}", uuid::Uuid::now_v7());
    acme.patch(&nobodys, &json!({}))
        .await
        .problem(404, "not_found");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_provider_is_replaced_and_taken_away_at_the_version_that_was_seen() {
    let stack = Stack::still().await;
    let acme = stack.create_tenant("acme").await;
    let put = |tag: &'static str, client: &'static str| {
        let acme = acme.clone();
        async move { send_if(&acme, Method::PUT, PROVIDER, tag, &provider(client)).await }
    };
    for tag in ["*", "\"v0\"", "\"v1\""] {
        put(tag, "none").await.problem(412, "precondition.failed");
    }
    acme.get(PROVIDER).await.problem(404, "not_found");
    let first = acme.put(PROVIDER, &provider("first")).await.expect(200);
    assert_eq!(first.header("etag"), "\"v1\"");
    let many = (0..8).map(|_| put("\"v1\"", "second"));
    let answers = futures::future::join_all(many).await;
    let done = answers.iter().filter(|answer| answer.status == 200).count();
    let refused = answers.iter().filter(|answer| answer.status == 412).count();
    assert_eq!(
        (done, refused),
        (1, 7),
        "one of those who saw one version is first"
    );
    let delete = |tag: &'static str| {
        let acme = acme.clone();
        async move { send_if(&acme, Method::DELETE, PROVIDER, tag, &Value::Null).await }
    };
    delete("\"v1\"").await.problem(412, "precondition.failed");
    delete("\"v2\"").await.expect(204);
    delete("*").await.problem(404, "not_found");
    stack.stop().await;
}
