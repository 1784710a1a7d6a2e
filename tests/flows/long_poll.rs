//! `?wait=`: an answer when the job ends, not later.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::harness::{Stack, StackOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_answers_when_the_job_ends() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("poll").await;
    let id = stack.probe(&caller, json!({ "sleep_ms": 500 })).await;
    let asked = Instant::now();
    let job = caller
        .get(&format!("/api/v1/jobs/{id}?wait=30"))
        .await
        .expect(200)
        .json;
    assert_eq!(job["status"], "succeeded");
    assert!(
        asked.elapsed() < Duration::from_secs(20),
        "it waited for the limit"
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_poll_ends_with_its_wait_when_the_job_does_not() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("patient").await;
    let id = stack.probe(&caller, json!({})).await;
    let job = caller
        .get(&format!("/api/v1/jobs/{id}?wait=1"))
        .await
        .expect(200)
        .json;
    assert_eq!(job["status"], "queued");
    caller
        .get(&format!("/api/v1/jobs/{id}?wait=31"))
        .await
        .expect(400);
    caller
        .get(&format!("/api/v1/jobs/{id}?wait=-1"))
        .await
        .expect(400);
    stack.stop().await;
}
