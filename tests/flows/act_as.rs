//! A system administrator inside a tenant: with leave, for a while, and told to both sides.

use serde_json::{Value, json};
use unity_shared::clock::Clock;

use crate::harness::{Caller, Stack, StackOptions, eventually};

async fn still_stack(clock: Clock) -> Stack {
    let options = StackOptions {
        workers: 0,
        scheduler: false,
        clock,
        ..StackOptions::default()
    };
    Stack::start_with(options).await
}

const GRANTS: &str = "/api/v1/tenants/acme/act-as";

async fn begin(stack: &Stack, role: &str) -> (Value, Caller) {
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": role });
    let begun = stack.admin.post(GRANTS, &order).await.expect(201);
    let acting = stack.admin.with_key(&begun.text_of("token"));
    (begun.json, acting)
}

async fn entries(caller: &Caller, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit-log?limit=200{query}");
    let page = caller.get(&path).await.expect(200).json;
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_acts_in_a_tenant_by_leave_and_both_sides_are_told() {
    let stack = still_stack(Clock::system()).await;
    let tenant = stack.create_tenant("acme").await;
    stack.create_tenant("bravo").await;
    stack
        .admin
        .get("/api/v1/jobs")
        .await
        .problem(403, "tenant.required");
    let (grant, acting) = begin(&stack, "member").await;
    assert_eq!(
        (&grant["role"], &grant["reason"]),
        (&json!("tenant-member"), &json!("ticket 42"))
    );
    acting.get("/api/v1/jobs").await.expect(200);
    let order = json!({ "kind": "probe", "payload": {} });
    let made = acting.post("/api/v1/jobs", &order).await.expect(202);
    assert_eq!(made.json["tenant_id"], "acme");
    // In the role that was asked for, in this tenant, and not as an administrator beside.
    acting
        .get("/api/v1/audit-log")
        .await
        .problem(403, "role.insufficient");
    acting
        .get("/api/v1/tenants")
        .await
        .problem(403, "role.insufficient");
    acting
        .get("/api/v1/tenants/bravo")
        .await
        .problem(404, "not_found");
    acting
        .post("/api/v1/tenants/bravo/act-as", &order)
        .await
        .problem(403, "role.insufficient");
    let id = grant["id"].as_str().unwrap();
    for caller in [&tenant, &stack.admin] {
        let told = entries(caller, "&action=act_as.request").await;
        assert_eq!(
            told.len(),
            6,
            "every request, also those that read or were refused"
        );
        let created = entries(caller, "&action=job.create").await;
        assert_eq!(created.len(), 1);
        assert_eq!(told[5]["detail"]["path"], "/api/v1/jobs");
        for entry in told.iter().chain(&created) {
            assert_eq!(entry["act_as"], id);
            assert_eq!(entry["detail"]["act_as_reason"], "ticket 42");
            assert_eq!(entry["actor_kind"], "api_key");
        }
        let begun = entries(caller, "&action=act_as.begin").await;
        assert_eq!(begun.len(), 1);
        assert_eq!(begun[0]["detail"]["reason"], "ticket 42");
    }
    let listed = tenant.get(GRANTS).await.expect(200);
    assert_eq!(listed.json["items"][0]["id"], id);
    assert!(!listed.text.contains("ua_"), "{}", listed.text);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_when_it_is_ended_or_the_administrators_key_is() {
    let stack = still_stack(Clock::system()).await;
    let tenant = stack.create_tenant("acme").await;
    let (grant, acting) = begin(&stack, "viewer").await;
    acting.get("/api/v1/jobs").await.expect(200);
    let path = format!("{GRANTS}/{}", grant["id"].as_str().unwrap());
    tenant.delete(&path).await.problem(403, "role.insufficient");
    acting.delete(&path).await.problem(403, "role.insufficient");
    let other = path.replace("/acme/", "/bravo/");
    stack.admin.delete(&other).await.problem(404, "not_found");
    stack.admin.delete(&path).await.expect(204);
    let began = std::time::Instant::now();
    eventually("the token is refused", || async {
        (acting.get("/api/v1/jobs").await.status == 401).then_some(())
    })
    .await;
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    stack.admin.delete(&path).await.problem(404, "not_found");
    for caller in [&tenant, &stack.admin] {
        assert_eq!(entries(caller, "&action=act_as.end").await.len(), 1);
    }
    let (_, acting) = begin(&stack, "viewer").await;
    acting.get("/api/v1/jobs").await.expect(200);
    let revoke = "UPDATE api_keys SET revoked_at = now() WHERE role = 'system-admin'";
    sqlx::query(revoke)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    eventually(
        "the token is refused with its administrator's key",
        || async { (acting.get("/api/v1/jobs").await.status == 401).then_some(()) },
    )
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_by_itself() {
    let clock = Clock::manual("2026-01-05T12:30:00Z".parse().unwrap());
    let stack = still_stack(clock).await;
    stack.create_tenant("acme").await;
    let (_, acting) = begin(&stack, "viewer").await;
    stack.clock.advance(chrono::TimeDelta::seconds(299));
    acting.get("/api/v1/jobs").await.expect(200);
    stack.clock.advance(chrono::TimeDelta::seconds(1));
    acting
        .get("/api/v1/jobs")
        .await
        .problem(401, "auth.required");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_order_makes_one_grant_and_does_not_show_its_token_again() {
    let stack = still_stack(Clock::system()).await;
    let tenant = stack.create_tenant("acme").await;
    stack.create_tenant("bravo").await;
    let order = json!({ "reason": "ticket", "minutes": 1, "role": "viewer" });
    let key = [("idempotency-key", "once")];
    let first = stack
        .admin
        .post_with(GRANTS, &order, &key)
        .await
        .expect(201);
    let again = stack
        .admin
        .post_with(GRANTS, &order, &key)
        .await
        .expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json["id"], first.json["id"]);
    assert!(again.json["token"].is_null());
    let elsewhere = GRANTS.replace("acme", "bravo");
    let other = stack.admin.post_with(&elsewhere, &order, &key).await;
    other.problem(422, "idempotency.mismatch");
    assert_eq!(entries(&tenant, "&action=act_as.begin").await.len(), 1);
    for (bad, status, code) in [
        (
            json!({ "reason": "", "minutes": 5, "role": "viewer" }),
            422,
            "validation.failed",
        ),
        (
            json!({ "reason": "x", "minutes": 61, "role": "viewer" }),
            422,
            "validation.failed",
        ),
        (
            json!({ "reason": "x", "minutes": 5, "role": "system-admin" }),
            422,
            "validation.failed",
        ),
        (json!({ "reason": "x", "minutes": 5 }), 400, "body.invalid"),
    ] {
        stack.admin.post(GRANTS, &bad).await.problem(status, code);
    }
    let nobodys = GRANTS.replace("acme", "nobody");
    stack
        .admin
        .post(&nobodys, &order)
        .await
        .problem(404, "not_found");
    tenant
        .post(GRANTS, &order)
        .await
        .problem(403, "role.insufficient");
    stack.stop().await;
}
