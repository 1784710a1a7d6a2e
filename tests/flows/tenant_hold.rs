//! What a suspended or deleted tenant gets: nothing, and its jobs wait until it is back.

use std::time::{Duration, Instant};

use serde_json::json;

use super::processes::spawn;
use crate::harness::{Caller, EventStream, Stack, StackOptions, eventually};

/// The promise is two seconds; the rest is what a busy machine needs to see it.
const WITHIN: Duration = Duration::from_millis(2500);

async fn step(stack: &Stack, tenant: &str, action: &str) {
    let path = format!("/api/v1/tenants/{tenant}/{action}");
    stack.admin.post(&path, &json!({})).await.expect(200);
}

async fn refused_within(caller: &Caller, code: &str) {
    let since = Instant::now();
    eventually("the caller is refused", || async {
        let answer = caller.get("/api/v1/jobs").await;
        (answer.status == 403).then(|| answer.problem(403, code))
    })
    .await;
    assert!(since.elapsed() < WITHIN, "{:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_jobs_wait_and_go_on_when_it_is_resumed() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("held").await;
    let other = stack.create_tenant("free").await;
    let (_worker, _file) = spawn(&stack, &["worker"]).await;
    let limits = json!({ "max_concurrent": 1 });
    stack
        .admin
        .put("/api/v1/tenants/held/job-limits", &limits)
        .await
        .expect(200);
    let running = stack.probe(&caller, json!({ "sleep_ms": 1500 })).await;
    stack.reaches(&caller, &running, "running").await;
    let mut waiting = Vec::new();
    for _ in 0..5 {
        waiting.push(stack.probe(&caller, json!({})).await);
    }
    let due = json!({ "kind": "probe", "payload": {}, "delay_seconds": 1 });
    waiting.push(
        caller
            .post("/api/v1/jobs", &due)
            .await
            .expect(202)
            .text_of("id"),
    );
    step(&stack, "held", "suspend").await;
    // What runs goes on to its end; nothing else begins, however often the gate is told of limits.
    eventually("the running job ends", || async {
        let ended = "SELECT count(*) FROM jobs WHERE kind = 'probe' AND status = 'succeeded'";
        (stack.count(ended).await == 1).then_some(())
    })
    .await;
    stack
        .admin
        .put(
            "/api/v1/tenants/held/job-limits",
            &json!({ "max_concurrent": 9 }),
        )
        .await
        .expect(200);
    let beside = stack.probe(&other, json!({ "sleep_ms": 1500 })).await;
    assert_eq!(stack.ended(&other, &beside).await["status"], "succeeded");
    for id in &waiting {
        let why = format!("/api/v1/jobs/{id}/why");
        eventually("the job waits for its tenant", || async {
            let why = stack.admin.get(&why).await.expect(200).json;
            (why["reasons"][0]["code"] == "tenant_suspended").then_some(())
        })
        .await;
    }
    step(&stack, "held", "resume").await;
    eventually("the caller is let in", || async {
        (caller.get("/api/v1/jobs").await.status == 200).then_some(())
    })
    .await;
    for id in &waiting {
        let job = stack.ended(&caller, id).await;
        assert_eq!(
            (&job["status"], &job["attempt"]),
            (&json!("succeeded"), &json!(1))
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_streams_and_long_polls_end_within_two_seconds() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    for (tenant, method, code) in [
        ("suspended", "suspend", "tenant.suspended"),
        ("deleted", "delete", "tenant.deleted"),
    ] {
        let caller = stack.create_tenant(tenant).await;
        let job = stack.probe(&caller, json!({})).await;
        let poller = caller.clone();
        let poll =
            tokio::spawn(async move { poller.get(&format!("/api/v1/jobs/{job}?wait=30")).await });
        let mut stream = EventStream::open(&caller, "/api/v1/events", None).await;
        let since = Instant::now();
        if method == "delete" {
            let path = format!("/api/v1/tenants/{tenant}");
            stack.admin.delete(&path).await.expect(200);
        } else {
            step(&stack, tenant, method).await;
        }
        refused_within(&caller, code).await;
        poll.await.unwrap().problem(403, code);
        assert!(since.elapsed() < WITHIN, "poll: {:?}", since.elapsed());
        while stream.next().await.is_some() {}
        assert!(since.elapsed() < WITHIN, "stream: {:?}", since.elapsed());
        let order = json!({ "kind": "probe", "payload": {} });
        caller.post("/api/v1/jobs", &order).await.problem(403, code);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspension_that_nobody_told_the_gate_of_holds_all_the_same() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("untold").await;
    let first = stack.probe(&caller, json!({})).await;
    stack.ended(&caller, &first).await;
    // As if the process had died between its commit and its word to the gate.
    let suspend =
        "UPDATE tenants SET status = 'suspended', suspended_at = now(), updated_at = now()
                   WHERE id = 'untold'";
    sqlx::query(suspend)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let insert = "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts,
                                    timeout_seconds, run_at, created_at)
                  VALUES ('untold', gen_random_uuid(), 'probe', 'default', 'queued', 5, '{}', 1, 10, now(), now())
                  RETURNING id";
    let id: uuid::Uuid = sqlx::query_scalar(insert)
        .fetch_one(&mut stack.owner().await)
        .await
        .unwrap();
    let path = format!("/api/v1/jobs/{id}/why");
    eventually("the gate holds the job", || async {
        let why = stack.admin.get(&path).await.expect(200);
        let standing = stack.gate.why(id.into()).await.unwrap();
        let held =
            standing.max_concurrent == 0 && standing.place == unity_shared::queue::Place::Waiting;
        (held && why.json["reasons"][0]["code"] == "tenant_suspended").then_some(())
    })
    .await;
    assert_eq!(
        stack
            .count("SELECT count(*) FROM jobs WHERE attempt > 0 AND status = 'queued'")
            .await,
        0
    );
    step(&stack, "untold", "resume").await;
    assert_eq!(
        stack.ended(&caller, &id.to_string()).await["status"],
        "succeeded"
    );
    stack.finish().await;
}
