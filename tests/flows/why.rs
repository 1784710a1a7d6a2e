//! `GET /jobs/{id}/why`: the reason that admission itself has.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Caller, Proxy, Stack, StackOptions, eventually, servers};

async fn why(caller: &Caller, id: &str) -> Value {
    let path = format!("/api/v1/jobs/{id}/why");
    caller.get(&path).await.expect(200).json
}

fn codes(why: &Value) -> Vec<&str> {
    let reasons = why["reasons"].as_array().unwrap();
    let codes = reasons
        .iter()
        .map(|reason| reason["code"].as_str().unwrap());
    codes.collect()
}

/// Waits until the job has this reason among others and answers it.
async fn has_reason(caller: &Caller, id: &str, code: &str) -> Value {
    eventually(&format!("{id} has the reason {code}"), || async {
        let why = why(caller, id).await;
        let reasons = why["reasons"].as_array().unwrap();
        reasons
            .iter()
            .find(|reason| reason["code"] == code)
            .cloned()
    })
    .await
}

async fn limit(stack: &Stack, tenant: &str, order: Value) {
    let path = format!("/api/v1/tenants/{tenant}/job-limits");
    stack.admin.put(&path, &order).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_at_its_tenants_limit_names_the_limit_and_who_holds_the_slots() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("full").await;
    limit(&stack, "full", json!({ "max_concurrent": 1 })).await;
    let holder = stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await;
    stack.reaches(&caller, &holder, "running").await;
    let running = why(&caller, &holder).await;
    assert_eq!(
        (codes(&running), &running["waiting"]),
        (vec!["running"], &json!(false))
    );
    assert!(running["reasons"][0]["worker"].is_string(), "{running}");
    let waits = stack.probe(&caller, json!({})).await;
    let behind = stack.probe(&caller, json!({})).await;
    let reason = has_reason(&caller, &waits, "tenant_limit").await;
    assert_eq!(
        (&reason["limit"], &reason["running"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(reason["holders"], json!([holder]));
    let last = why(&caller, &behind).await;
    assert_eq!(last["waiting"], true);
    assert_eq!(last["ahead"], json!({ "jobs": 1, "tenants": null }));
    limit(
        &stack,
        "full",
        json!({ "max_concurrent": 5, "per_kind": { "probe": 1 } }),
    )
    .await;
    let reason = has_reason(&caller, &waits, "kind_limit").await;
    assert_eq!(
        (&reason["kind"], &reason["limit"]),
        (&json!("probe"), &json!(1))
    );
    assert_eq!(reason["holders"], json!([holder]));
    caller
        .post(&format!("/api/v1/jobs/{holder}/cancel"), &json!({}))
        .await
        .expect(202);
    for id in [&waits, &behind] {
        stack.ended(&caller, id).await;
        assert_eq!(codes(&why(&caller, id).await), ["ended"]);
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_behind_a_resource_key_names_the_job_that_holds_it() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("keyed").await;
    let order = |sleep| json!({ "kind": "probe", "payload": { "sleep_ms": sleep }, "resource_key": "cluster" });
    let first = caller
        .post("/api/v1/jobs", &order(60_000))
        .await
        .expect(202)
        .text_of("id");
    stack.reaches(&caller, &first, "running").await;
    let second = caller
        .post("/api/v1/jobs", &order(0))
        .await
        .expect(202)
        .text_of("id");
    let reason = has_reason(&caller, &second, "resource_key").await;
    assert_eq!(
        (&reason["key"], &reason["held_by"]),
        (&json!("cluster"), &json!(first))
    );
    caller
        .post(&format!("/api/v1/jobs/{first}/cancel"), &json!({}))
        .await
        .expect(202);
    stack.ended(&caller, &second).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_says_that_no_worker_takes_its_kind_or_that_all_are_busy() {
    let options = StackOptions {
        workers: 0,
        concurrency: 1,
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("workers").await;
    let first = stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await;
    let reason = has_reason(&caller, &first, "no_worker").await;
    assert_eq!(
        (&reason["kind"], &reason["queue"]),
        (&json!("probe"), &json!("default"))
    );
    let worker = CancellationToken::new();
    stack
        .start_worker_of("default", &["probe"], worker.clone())
        .await;
    stack.reaches(&caller, &first, "running").await;
    let second = stack.probe(&caller, json!({})).await;
    has_reason(&caller, &second, "fleet_busy").await;
    // The worker takes probes alone, so what provisions the namespace waits for another.
    let jobs = caller
        .get("/api/v1/jobs?kind=provision_namespace")
        .await
        .expect(200);
    let provision = jobs.json["items"][0]["id"].as_str().unwrap();
    has_reason(&caller, provision, "no_worker").await;
    caller
        .post(&format!("/api/v1/jobs/{first}/cancel"), &json!({}))
        .await
        .expect(202);
    stack.ended(&caller, &second).await;
    worker.cancel();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_not_due_says_when_it_will_be() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("due").await;
    let later = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
    let job = caller.post("/api/v1/jobs", &later).await.expect(202);
    let reason = has_reason(&caller, &job.text_of("id"), "not_due").await;
    assert_eq!(reason["run_at"], job.json["run_at"]);
    // The hundredth failure of a probe waits for seconds.
    let fails =
        json!({ "kind": "probe", "payload": { "fail_attempts": 100 }, "max_attempts": 100 });
    let failing = caller
        .post("/api/v1/jobs", &fails)
        .await
        .expect(202)
        .text_of("id");
    let reason = has_reason(&caller, &failing, "retry_wait").await;
    assert_eq!(reason["error"]["code"], "probe.failed");
    assert!(reason["attempt"].as_i64().unwrap() >= 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_it_says_that_the_queue_does_not_answer() {
    let url = servers().await.redis_url();
    let (_, place) = url.rsplit_once('@').unwrap();
    let upstream = place.split('/').next().unwrap().parse().unwrap();
    let proxy = Proxy::start(upstream).await;
    let options = StackOptions {
        workers: 0,
        redis_at: Some(proxy.addr),
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("away").await;
    let id = stack.probe(&caller, json!({})).await;
    proxy.cut();
    has_reason(&caller, &id, "gate_unreachable").await;
    stack
        .admin
        .get("/api/v1/queues")
        .await
        .problem(503, "unavailable");
    proxy.mend();
    has_reason(&caller, &id, "no_worker").await;
    stack.stop().await;
}
