//! Attempts: what is tried again, when, and how a job ends.

use serde_json::{Value, json};

use crate::harness::{Caller, Stack};

async fn run(stack: &Stack, caller: &Caller, body: Value) -> Value {
    let id = caller
        .post("/api/v1/jobs", &body)
        .await
        .expect(202)
        .text_of("id");
    stack.ended(caller, &id).await
}

async fn outcomes(caller: &Caller, job: &Value) -> Vec<String> {
    let path = format!("/api/v1/jobs/{}/attempts", job["id"].as_str().unwrap());
    let attempts = caller.get(&path).await.expect(200).json;
    let items = attempts["items"].as_array().unwrap().clone();
    items
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_twice_succeeds_at_its_third_attempt() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("retry").await;
    let body = json!({ "kind": "probe", "payload": { "fail_attempts": 2, "echo": "x" } });
    let job = run(&stack, &caller, body).await;
    assert_eq!(job["status"], "succeeded");
    assert_eq!(job["result"], json!({ "echo": "x", "attempt": 3 }));
    assert_eq!(job["error"], Value::Null);
    assert_eq!(
        outcomes(&caller, &job).await,
        ["retried", "retried", "succeeded"]
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_out_of_attempts_fails_with_its_last_error() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("out").await;
    let body = json!({ "kind": "probe", "payload": { "fail_attempts": 9 }, "max_attempts": 2 });
    let job = run(&stack, &caller, body).await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["attempt"], 2);
    assert_eq!(job["error"]["code"], "probe.failed");
    assert_eq!(outcomes(&caller, &job).await, ["retried", "failed"]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fatal_error_is_not_tried_again() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("fatal").await;
    let job = run(
        &stack,
        &caller,
        json!({ "kind": "probe", "payload": { "fatal": true } }),
    )
    .await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["attempt"], 1);
    assert_eq!(job["error"]["retryable"], false);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_ends_the_attempt_and_not_the_worker() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("panic").await;
    let body = json!({ "kind": "probe", "payload": { "panic": true }, "max_attempts": 1 });
    let job = run(&stack, &caller, body).await;
    assert_eq!(job["error"]["code"], "handler.panicked");
    let next = run(&stack, &caller, json!({ "kind": "probe", "payload": {} })).await;
    assert_eq!(next["status"], "succeeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_takes_too_long_is_ended() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("slow").await;
    let body = json!({
        "kind": "probe", "payload": { "sleep_ms": 60_000 }, "timeout_seconds": 1, "max_attempts": 1
    });
    let job = run(&stack, &caller, body).await;
    assert_eq!(job["status"], "failed");
    assert_eq!(job["error"]["code"], "handler.timed_out");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delayed_job_is_scheduled_first_and_runs_when_due() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("later").await;
    let body = json!({ "kind": "probe", "payload": {}, "delay_seconds": 1 });
    let job = caller.post("/api/v1/jobs", &body).await.expect(202);
    assert_eq!(job.json["status"], "scheduled");
    let job = stack.ended(&caller, &job.text_of("id")).await;
    assert_eq!(job["status"], "succeeded");
    let at =
        |field: &str| chrono::DateTime::parse_from_rfc3339(job[field].as_str().unwrap()).unwrap();
    assert!(at("started_at") >= at("run_at"));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_end_of_a_job_leaves_an_event_in_a_sequence_without_gaps() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("events").await;
    run(
        &stack,
        &caller,
        json!({ "kind": "probe", "payload": { "fail_attempts": 1 } }),
    )
    .await;
    run(
        &stack,
        &caller,
        json!({ "kind": "probe", "payload": { "fatal": true } }),
    )
    .await;
    let types: Vec<String> = sqlx::query_scalar(
        "SELECT type FROM events JOIN jobs ON jobs.id = events.job_id
         WHERE jobs.kind = 'probe' ORDER BY sequence",
    )
    .fetch_all(&mut stack.owner().await)
    .await
    .unwrap();
    assert_eq!(types, ["job.retrying", "job.succeeded", "job.failed"]);
    let gaps = "SELECT count(*) FROM (SELECT sequence - row_number() OVER (ORDER BY sequence) AS d
                FROM events) AS numbered WHERE d <> 0";
    assert_eq!(stack.count(gaps).await, 0);
    stack.finish().await;
}
