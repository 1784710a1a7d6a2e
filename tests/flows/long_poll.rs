//! `?wait=`: an answer when the job ends, not later.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use crate::harness::{Stack, StackOptions, eventually};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_does_not_outlive_its_key() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let admin = stack.create_tenant("revoked").await;
    let id = stack.probe(&admin, json!({})).await;
    for path in [
        format!("/api/v1/jobs/{id}?wait=30"),
        "/api/v1/events?wait=30".to_owned(),
        format!("/api/v1/jobs/{id}/events?wait=30"),
    ] {
        let viewer = stack.caller_with_role("revoked", Role::TenantViewer).await;
        // Soon, not now: so the request is let in, and its wait goes on beyond the key's end.
        let asked = Instant::now();
        sqlx::query("UPDATE api_keys SET expires_at = now() + interval '2 seconds' WHERE role = 'tenant-viewer'")
            .execute(&mut stack.owner().await)
            .await
            .unwrap();
        let answer = viewer.get(&path).await;
        answer.problem(401, "auth.required");
        let after = asked.elapsed();
        println!("{path} ended after {} ms", after.as_millis());
        assert!(after > Duration::from_secs(2), "{path}: {after:?}");
        assert!(after < Duration::from_secs(12), "{path}: {after:?}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_events_waits_for_the_next_one_and_misses_none() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("listed").await;
    let id = stack.probe(&caller, json!({})).await;
    let last = caller.get("/api/v1/events").await.expect(200).json["last_id"].clone();
    let asked = Instant::now();
    let empty = caller
        .get(&format!("/api/v1/events?since={last}&wait=1"))
        .await
        .expect(200);
    assert!(asked.elapsed() >= Duration::from_secs(1));
    assert_eq!(
        (&empty.json["items"], &empty.json["last_id"]),
        (&json!([]), &last)
    );
    let cancelled = async || {
        let job = stack.probe(&caller, json!({})).await;
        let cancel = format!("/api/v1/jobs/{job}/cancel");
        caller.post(&cancel, &json!({})).await.expect(202);
    };
    let ask = |path: String| {
        let caller = caller.clone();
        tokio::spawn(async move { caller.get(&path).await.expect(200).json })
    };
    let first = |list: Value| list["items"][0]["type"].clone();
    let since = ask(format!("/api/v1/events?since={last}&wait=30"));
    let of_job = ask(format!("/api/v1/jobs/{id}/events?wait=30"));
    let cancel = format!("/api/v1/jobs/{id}/cancel");
    caller.post(&cancel, &json!({})).await.expect(202);
    assert_eq!(first(since.await.unwrap()), "job.cancelled");
    let page = of_job.await.unwrap();
    // The job has ended: nothing is left to wait for.
    let rest = format!("/api/v1/jobs/{id}/events?since={}&wait=30", page["last_id"]);
    assert_eq!(caller.get(&rest).await.expect(200).json["items"], json!([]));
    assert_eq!(first(page), "job.cancelled");
    // Without a number it is what happens while the request waits.
    let next = ask("/api/v1/events?wait=30".to_owned());
    eventually("the request is answered", || async {
        cancelled().await;
        next.is_finished().then_some(())
    })
    .await;
    assert_eq!(first(next.await.unwrap()), "job.cancelled");
    assert!(
        asked.elapsed() < Duration::from_secs(28),
        "it waited for its end"
    );
    for bad in ["?wait=31", "?wait=-1", "?wait=x"] {
        let refused = caller.get(&format!("/api/v1/events{bad}")).await;
        refused.problem(400, "query.invalid");
    }
    let stream = [("accept", "text/event-stream")];
    let refused = caller
        .send(reqwest::Method::GET, "/api/v1/events?wait=1", &stream, None)
        .await;
    refused.problem(400, "query.invalid");
    stack.stop().await;
}
