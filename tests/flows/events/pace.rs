//! How soon an event is seen, and how often a handler can cause one.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{ALL, ids, open, path_of, write_events};
use crate::harness::{Message, Stack, StackOptions};

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_streamed_limited_and_ends_with_a_hundred_percent() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("progress").await;
    // A report every 15 ms for a second and a half.
    let job = stack
        .probe(&caller, json!({ "sleep_ms": 1500, "progress_steps": 100 }))
        .await;
    let began = Instant::now();
    let mut messages = open(&caller, &path_of(&job), None).await.rest().await;
    let most = 2 + began.elapsed().as_millis() / 200;
    assert_eq!(messages.pop().unwrap().event, "job.succeeded");
    assert!(
        messages
            .iter()
            .all(|message| message.event == "job.progress")
    );
    let percents: Vec<i64> = messages.iter().map(percent).collect();
    println!("{} reports: {percents:?}", percents.len());
    assert!(percents.is_sorted_by(|a, b| a < b), "{percents:?}");
    assert_eq!(percents.last(), Some(&100));
    assert!(
        percents.len() > 2 && percents.len() as u128 <= most,
        "{percents:?}"
    );
    assert_eq!(
        messages.last().unwrap().data["data"]["message"],
        "step 100 of 100"
    );
    let shown = caller
        .get(&format!("/api/v1/jobs/{job}"))
        .await
        .expect(200)
        .json;
    assert_eq!(
        shown["progress"],
        json!({ "percent": 100, "message": "step 100 of 100" })
    );
    assert_eq!(shown["links"]["events"], path_of(&job));
    stack.finish().await;
}

fn percent(message: &Message) -> i64 {
    message.data["data"]["percent"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_is_seen_at_once_when_there_is_a_message_of_it() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("told").await;
    let job = stack.probe(&caller, json!({})).await;
    let mut of_tenant = open(&caller, ALL, Some(0)).await;
    let mut of_job = open(&caller, &path_of(&job), None).await;
    for n in 1..=3 {
        write_events(&stack, "told", &job, 1).await;
        let written = Instant::now();
        let told = [("told".parse().unwrap(), job.parse().unwrap())];
        stack.gate.tell(&told).await.unwrap();
        assert_eq!(ids(&of_tenant.take(1).await), [n]);
        assert_eq!(ids(&of_job.take(1).await), [n]);
        println!("seen after {} ms", written.elapsed().as_millis());
        // Half of the beat: no stream looked by itself three times in a row so soon.
        assert!(written.elapsed() < Duration::from_millis(2500));
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_whose_message_was_lost_is_seen_at_the_next_beat() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("lost").await;
    let job = stack.probe(&caller, json!({})).await;
    let mut of_tenant = open(&caller, ALL, Some(0)).await;
    let mut of_job = open(&caller, &path_of(&job), None).await;
    let written = Instant::now();
    write_events(&stack, "lost", &job, 1).await;
    assert_eq!(ids(&of_tenant.take(1).await), [1]);
    assert_eq!(ids(&of_job.take(1).await), [1]);
    println!("seen after {} ms", written.elapsed().as_millis());
    assert!(written.elapsed() < Duration::from_secs(8));
    stack.stop().await;
}
