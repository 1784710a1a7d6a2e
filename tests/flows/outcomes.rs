//! What a handler can answer besides success and an error, and what no handler gets to see.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Caller, Stack, StackOptions};

async fn attempts(caller: &Caller, id: &str) -> Vec<Value> {
    let path = format!("/api/v1/jobs/{id}/attempts");
    let attempts = caller.get(&path).await.expect(200).json;
    attempts["items"].as_array().unwrap().clone()
}

fn outcomes(attempts: &[Value]) -> Vec<&str> {
    let outcomes = attempts.iter().map(|a| a["outcome"].as_str().unwrap());
    outcomes.collect()
}

fn instant(value: &Value) -> DateTime<Utc> {
    value.as_str().unwrap().parse().unwrap()
}

/// From the end of the first attempt to the start of the second.
fn pause(attempts: &[Value]) -> TimeDelta {
    instant(&attempts[1]["started_at"]) - instant(&attempts[0]["finished_at"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_asks_to_run_later_does_and_the_attempt_does_not_count() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("snooze").await;
    let order = json!({ "kind": "probe", "payload": { "snooze_ms": 1200 }, "max_attempts": 1 });
    let job = caller.post("/api/v1/jobs", &order).await.expect(202);
    let id = job.text_of("id");
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (&job["status"], &job["attempt"], &job["result"]["attempt"]),
        (&json!("succeeded"), &json!(1), &json!(1))
    );
    let attempts = attempts(&caller, &id).await;
    assert_eq!(outcomes(&attempts), ["snoozed", "succeeded"]);
    assert!(pause(&attempts) >= TimeDelta::milliseconds(1200));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_asks_to_wait_is_not_tried_again_before() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("after").await;
    // The policy of the kind alone would wait for a tenth of a second.
    let id = stack
        .probe(
            &caller,
            json!({ "fail_attempts": 1, "retry_after_ms": 1500 }),
        )
        .await;
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
    let attempts = attempts(&caller, &id).await;
    assert_eq!(outcomes(&attempts), ["retried", "succeeded"]);
    assert!(pause(&attempts) >= TimeDelta::milliseconds(1500));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_does_not_fit_its_kind_any_more_fails_the_job_and_the_worker_goes_on() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("misfit").await;
    let misfit = stack.probe(&caller, json!({ "sleep_ms": 1 })).await;
    sqlx::query("UPDATE jobs SET payload = '{\"sleep_days\": 1}' WHERE kind = 'probe'")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let good = stack.probe(&caller, json!({ "echo": "on" })).await;
    let worker = CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    let job = stack.ended(&caller, &misfit).await;
    assert_eq!(
        (&job["status"], &job["error"]["code"], &job["attempt"]),
        (&json!("failed"), &json!("payload.unreadable"), &json!(1))
    );
    let message = job["error"]["message"].as_str().unwrap();
    assert!(message.contains("sleep_days"), "{message}");
    assert_eq!(stack.ended(&caller, &good).await["result"]["echo"], "on");
    stack.all_ended().await;
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_that_cannot_be_stored_fails_its_job_alone() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("poison").await;
    sqlx::query("ALTER TABLE jobs ADD CONSTRAINT no_poison CHECK (result IS NULL OR result->>'echo' <> 'poison')")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let mut ids = Vec::new();
    for echo in ["a", "poison", "b", "c"] {
        ids.push(stack.probe(&caller, json!({ "echo": echo })).await);
    }
    for (id, echo) in ids.iter().zip(["a", "poison", "b", "c"]) {
        let job = stack.ended(&caller, id).await;
        if echo == "poison" {
            assert_eq!(
                (&job["status"], &job["error"]["code"]),
                (&json!("failed"), &json!("result.unstorable"))
            );
        } else {
            assert_eq!(job["result"]["echo"], echo);
        }
    }
    stack.finish().await;
}
