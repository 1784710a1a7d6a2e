//! A worker that is told to stop hands its jobs back without burning an attempt.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{Stack, StackOptions, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_stopping_worker_hands_its_job_back_and_another_finishes_it() {
    let mut stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("drained").await;
    let first = CancellationToken::new();
    let first_worker = stack.start_worker(first.clone()).await.to_string();
    let id = stack.probe(&caller, json!({ "sleep_ms": 3000 })).await;
    stack.reaches(&caller, &id, "running").await;
    first.cancel();
    eventually("the job is handed back", || async {
        let job = caller
            .get(&format!("/api/v1/jobs/{id}"))
            .await
            .expect(200)
            .json;
        (job["status"] == "queued" && job["attempt"] == 0).then_some(())
    })
    .await;
    let second = CancellationToken::new();
    stack.start_worker(second.clone()).await;
    let job = stack.ended(&caller, &id).await;
    assert_eq!(job["status"], "succeeded");
    assert_eq!(job["attempt"], 1);
    let attempts = caller
        .get(&format!("/api/v1/jobs/{id}/attempts"))
        .await
        .expect(200)
        .json;
    assert_eq!(attempts["items"][0]["outcome"], "handed_back");
    assert_eq!(attempts["items"][0]["worker"], first_worker.as_str());
    assert_eq!(attempts["items"][1]["outcome"], "succeeded");
    second.cancel();
    stack.finish().await;
}
