//! When a stream ends: with its job, its key, its tenant, its server. And how many there are.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use unity_shared::tenancy::Role;

use super::{ALL, ids, open, path_of, write_events};
use crate::harness::{EventStream, Stack, StackOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_stream_ends_by_itself_and_tells_a_browser_not_to_come_again() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("jobstream").await;
    let job = stack
        .probe(&caller, json!({ "sleep_ms": 300, "fail_attempts": 1 }))
        .await;
    let other = stack.probe(&caller, json!({})).await;
    // A system administrator who acts in the tenant reads the same.
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": "viewer" });
    let leave = stack
        .admin
        .post("/api/v1/tenants/jobstream/act-as", &order)
        .await;
    let acting = stack.admin.with_key(&leave.expect(201).text_of("token"));
    let (tenant, system) = tokio::join!(
        async { open(&caller, &path_of(&job), None).await.rest().await },
        async { open(&acting, &path_of(&job), None).await.rest().await },
    );
    assert_eq!(tenant, system);
    let types: Vec<&str> = tenant
        .iter()
        .map(|message| message.event.as_str())
        .collect();
    assert_eq!(types, ["job.retrying", "job.succeeded"]);
    assert!(tenant.iter().all(|message| message.data["job_id"] == *job));
    let first = tenant[0].id;
    let again = open(&caller, &path_of(&job), Some(first))
        .await
        .rest()
        .await;
    assert_eq!(again, tenant[1..]);
    let last = tenant[1].id.to_string();
    let headers = [
        ("accept", "text/event-stream"),
        ("last-event-id", last.as_str()),
    ];
    let answer = caller
        .send(Method::GET, &path_of(&job), &headers, None)
        .await;
    assert_eq!(answer.expect(204).text, "");
    stack.ended(&caller, &other).await;
    stack.finish().await;
}

/// Changes something as the owner and answers how long the stream went on.
async fn ends_after(stack: &Stack, mut stream: EventStream, change: &'static str) -> Duration {
    sqlx::query(change)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let changed = Instant::now();
    assert_eq!(stream.rest().await, []);
    changed.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_within_two_seconds_when_its_key_or_its_tenant_does() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    stack.create_tenant("ends").await;
    let other = stack.create_tenant("stays").await;
    let mut stays = open(&other, ALL, Some(0)).await;
    for change in [
        "UPDATE api_keys SET revoked_at = now() WHERE role = 'tenant-viewer'",
        "UPDATE api_keys SET expires_at = now() WHERE role = 'tenant-viewer'",
        "UPDATE api_keys SET role = 'tenant-admin' WHERE role = 'tenant-viewer'",
        "DELETE FROM api_keys WHERE role = 'tenant-viewer'",
        "UPDATE tenants SET status = 'suspended', suspended_at = now() WHERE id = 'ends'",
    ] {
        let viewer = stack.caller_with_role("ends", Role::TenantViewer).await;
        let stream = open(&viewer, ALL, None).await;
        let after = ends_after(&stack, stream, change).await;
        println!("ended {} ms after: {change}", after.as_millis());
        assert!(after < Duration::from_secs(2), "{change}: {after:?}");
    }
    let job = stack.probe(&other, json!({})).await;
    write_events(&stack, "stays", &job, 1).await;
    assert_eq!(ids(&stays.take(1).await), [1], "others read on");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_end_when_the_server_stops() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("closing").await;
    let job = stack.probe(&caller, json!({})).await;
    let mut streams = Vec::new();
    for path in [ALL.to_owned(), path_of(&job)] {
        streams.push(open(&caller, &path, None).await);
    }
    stack.stop_api();
    for mut stream in streams {
        assert_eq!(stream.rest().await, []);
    }
    // It fails if a connection had to be cut off.
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_a_hundred_streams_at_a_server_and_a_closed_one_makes_room() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("many").await;
    let other = stack.create_tenant("few").await;
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(open(&caller, ALL, None).await);
    }
    let headers = [("accept", "text/event-stream")];
    let answer = caller.send(Method::GET, ALL, &headers, None).await;
    let answer = answer.problem(429, "quota_exceeded");
    assert!(
        !answer.headers.contains_key("retry-after"),
        "waiting frees no place"
    );
    caller.get(ALL).await.expect(200);
    drop(open(&other, ALL, None).await);
    streams.pop();
    crate::harness::eventually("there is room again", || async {
        let response = caller.open(Method::GET, ALL, &headers, None).await;
        (response.status() == 200).then_some(())
    })
    .await;
    drop(streams);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_an_ended_job_whose_events_are_gone_tells_a_browser_not_to_come_again() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("trimmed").await;
    let job = stack.probe(&caller, json!({})).await;
    stack.ended(&caller, &job).await;
    sqlx::query("DELETE FROM events WHERE job_id = $1::uuid")
        .bind(&job)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let headers = [("accept", "text/event-stream")];
    let answer = caller
        .send(Method::GET, &path_of(&job), &headers, None)
        .await;
    assert_eq!(answer.expect(204).text, "");
    stack.finish().await;
}
