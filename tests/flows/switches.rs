//! Switches: pause and drain, of a tenant, a kind, or both.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Caller, Stack, eventually};

async fn put_on(stack: &Stack, scope: Value, action: &str, lasting: TimeDelta) -> String {
    let answer = stack.put_switch_on(scope, action, lasting).await;
    let location = answer.header("location").to_owned();
    let found = stack.admin.get(&location).await.expect(200);
    assert_eq!(found.json, answer.json);
    location
}

async fn is_paused(stack: &Stack, caller: &Caller) -> String {
    let id = stack.probe(caller, json!({})).await;
    eventually("the job says that it is paused", || async {
        let why = caller
            .get(&format!("/api/v1/jobs/{id}/why"))
            .await
            .expect(200);
        let reason = &why.json["reasons"][0];
        (reason["code"] == "paused" && reason["reason"] == "maintenance of the lake").then_some(())
    })
    .await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_paused_waits_and_goes_on_when_the_switch_is_off() {
    let stack = Stack::start().await;
    let paused = stack.create_tenant("paused").await;
    let other = stack.create_tenant("other").await;
    stack.all_ended().await;
    for (scope, concerns_other) in [
        (json!({ "tenant": "paused" }), false),
        (json!({ "kind": "probe" }), true),
        (json!({ "tenant": "paused", "kind": "probe" }), false),
    ] {
        let switch = put_on(&stack, scope, "pause", TimeDelta::hours(1)).await;
        let held = is_paused(&stack, &paused).await;
        let beside = if concerns_other {
            is_paused(&stack, &other).await
        } else {
            stack.probe(&other, json!({})).await
        };
        if !concerns_other {
            assert_eq!(stack.ended(&other, &beside).await["status"], "succeeded");
        }
        let job = paused
            .get(&format!("/api/v1/jobs/{held}"))
            .await
            .expect(200);
        assert_eq!(job.json["status"], "queued");
        stack.admin.delete(&switch).await.expect(204);
        stack.admin.delete(&switch).await.problem(404, "not_found");
        for (caller, id) in [(&paused, &held), (&other, &beside)] {
            assert_eq!(stack.ended(caller, id).await["status"], "succeeded");
        }
    }
    let left = stack.admin.get("/api/v1/switches").await.expect(200);
    assert_eq!(left.json["items"], json!([]));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_goes_off_by_itself_at_its_end() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("soon").await;
    stack.all_ended().await;
    put_on(
        &stack,
        json!({ "tenant": "soon" }),
        "pause",
        TimeDelta::seconds(2),
    )
    .await;
    let held = is_paused(&stack, &caller).await;
    assert_eq!(stack.ended(&caller, &held).await["status"], "succeeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drained_scope_takes_nothing_in_and_finishes_what_waits() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("drained").await;
    stack.all_ended().await;
    let failed = stack.probe(&caller, json!({ "fatal": true })).await;
    stack.ended(&caller, &failed).await;
    let pause = put_on(
        &stack,
        json!({ "tenant": "drained" }),
        "pause",
        TimeDelta::hours(1),
    )
    .await;
    let waiting = is_paused(&stack, &caller).await;
    let drain = put_on(
        &stack,
        json!({ "kind": "probe" }),
        "drain",
        TimeDelta::hours(1),
    )
    .await;
    let order = json!({ "kind": "probe", "payload": {} });
    let refused = caller
        .post("/api/v1/jobs", &order)
        .await
        .problem(409, "switch.draining");
    assert!(
        refused.text.contains("maintenance of the lake"),
        "{}",
        refused.text
    );
    let batch = json!({ "jobs": [order, order] });
    caller
        .post("/api/v1/jobs:batch", &batch)
        .await
        .problem(409, "switch.draining");
    // A dead letter is no way around it.
    let retry = format!("/api/v1/jobs/{failed}/retry");
    caller
        .post(&retry, &json!({}))
        .await
        .problem(409, "switch.draining");
    let filter = json!({ "filter": { "status": "failed" } });
    caller
        .post("/api/v1/jobs:retry", &filter)
        .await
        .problem(409, "switch.draining");
    let provision = json!({ "kind": "provision_namespace", "payload": {} });
    caller.post("/api/v1/jobs", &provision).await.expect(202);
    stack.admin.delete(&pause).await.expect(204);
    assert_eq!(stack.ended(&caller, &waiting).await["status"], "succeeded");
    stack.admin.delete(&drain).await.expect(204);
    caller.post("/api/v1/jobs", &order).await.expect(202);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_put_on_once_however_often_the_request_comes() {
    let stack = Stack::start().await;
    let order = json!({
        "scope": { "kind": "probe" }, "action": "pause", "reason": "once",
        "expires_at": stack.clock.now() + TimeDelta::hours(1),
    });
    let key = [("idempotency-key", "once")];
    let first = stack
        .admin
        .post_with("/api/v1/switches", &order, &key)
        .await
        .expect(201);
    let again = stack
        .admin
        .post_with("/api/v1/switches", &order, &key)
        .await
        .expect(201);
    assert_eq!(again.json, first.json);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(stack.count("SELECT count(*) FROM switches").await, 1);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_off_by_itself_at_its_end() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("over").await;
    put_on(
        &stack,
        json!({ "tenant": "over" }),
        "drain",
        TimeDelta::seconds(2),
    )
    .await;
    let order = json!({ "kind": "probe", "payload": {} });
    caller
        .post("/api/v1/jobs", &order)
        .await
        .problem(409, "switch.draining");
    let id = eventually("jobs are taken in again", || async {
        let answer = caller.post("/api/v1/jobs", &order).await;
        (answer.status == 202).then(|| answer.text_of("id"))
    })
    .await;
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    stack.finish().await;
}
