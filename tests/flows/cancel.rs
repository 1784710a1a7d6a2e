//! Cancelling: at once where a job waits, through its worker where it runs.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use unity_shared::jobs::cancel_jobs;

use crate::harness::{Caller, Stack, StackOptions};

async fn cancel(caller: &Caller, id: &str) -> Value {
    let path = format!("/api/v1/jobs/{id}/cancel");
    let answer = caller.post(&path, &json!({})).await.expect(202);
    assert_eq!(answer.header("location"), format!("/api/v1/jobs/{id}"));
    assert_eq!(answer.json["id"], id);
    answer.json
}

fn at(job: &Value, pointer: &str) -> DateTime<Utc> {
    let text = job.pointer(pointer).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("no {pointer}: {job}"))
        .parse()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_waiting_job_is_cancelled_with_the_answer_and_never_runs() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("waiting").await;
    let queued = stack.probe(&caller, json!({})).await;
    let later = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
    let scheduled = caller.post("/api/v1/jobs", &later).await.expect(202);
    for id in [queued, scheduled.text_of("id")] {
        let job = cancel(&caller, &id).await;
        assert_eq!(job["status"], "cancelled");
        assert_eq!(job["error"]["code"], "job.cancelled");
        assert_eq!(job["started_at"], Value::Null);
        assert_eq!(job["cancellation"]["delivered_at"], Value::Null);
        assert_eq!(job["cancellation"]["stopped_at"], job["finished_at"]);
        let path = format!("/api/v1/jobs/{id}/cancel");
        let refused = caller.post(&path, &json!({})).await;
        let refused = refused.problem(409, "job.state");
        assert_eq!(refused.json["job_status"], "cancelled");
    }
    // Only the job that provisions the namespace is left.
    let tenants = ["waiting".parse().unwrap()];
    let loads = stack.gate.loads("default", &tenants).await.unwrap();
    assert_eq!(loads[0].waiting, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_ended_and_says_when_what_happened() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("running").await;
    let id = stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await;
    stack.reaches(&caller, &id, "running").await;
    let asked = Instant::now();
    let job = cancel(&caller, &id).await;
    assert_eq!(job["status"], "running");
    assert!(job["cancellation"]["requested_at"].is_string());
    let job = stack.ended(&caller, &id).await;
    // Far less than the grace that a handler has which does not look at its token, and no bound on a
    // busy machine: the second that it takes on an idle one is measured, not asserted.
    let took = asked.elapsed();
    assert!(took < Duration::from_secs(20), "{took:?}");
    println!("a running job ended {took:?} after it was cancelled");
    assert_eq!(job["status"], "cancelled");
    assert_eq!(job["error"]["code"], "job.cancelled");
    let requested = at(&job, "/cancellation/requested_at");
    let delivered = at(&job, "/cancellation/delivered_at");
    let stopped = at(&job, "/cancellation/stopped_at");
    assert!(requested <= delivered && delivered <= stopped, "{job}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_missed_the_message_learns_of_it_with_its_next_heartbeat() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("missed").await;
    let id = stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await;
    stack.reaches(&caller, &id, "running").await;
    let tenant = "missed".parse().unwrap();
    let mut tx = stack.database.tenant(&tenant).await.unwrap();
    let ids = [id.parse().unwrap()];
    cancel_jobs(&mut tx, &ids, stack.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    let job = stack.ended(&caller, &id).await;
    assert_eq!(job["status"], "cancelled");
    assert!(job["cancellation"]["delivered_at"].is_string(), "{job}");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_running_jobs_are_cancelled_by_a_filter_and_asked_only_once() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("many").await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await);
    }
    for id in &ids {
        stack.reaches(&caller, id, "running").await;
    }
    let order = json!({ "filter": { "kind": "probe" } });
    let done = caller.post("/api/v1/jobs:cancel", &order).await.expect(202);
    assert_eq!(done.json, json!({ "count": 4, "more": false }));
    let again = caller.post("/api/v1/jobs:cancel", &order).await.expect(202);
    assert_eq!(again.json, json!({ "count": 0, "more": false }));
    for id in &ids {
        assert_eq!(stack.ended(&caller, id).await["status"], "cancelled");
    }
    stack.finish().await;
}
