//! The gate writes into apalis-redis' own ready list, so the crate's key layout is part of our
//! contract with it.

use std::time::{Duration, Instant};

use apalis_redis::Config;
use redis::AsyncCommands as _;
use serde_json::json;
use unity_shared::ids::JobId;

use crate::harness::{Stack, StackOptions, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn our_names_of_the_ready_queues_keys_are_those_of_apalis_redis() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let ours = stack.gate.ready_queue("default");
    let theirs = Config::default().queue(&ours.name);
    assert_eq!(ours.active(), theirs.active_jobs_list());
    assert_eq!(ours.data(), theirs.job_data_hash());
    assert_eq!(ours.meta("x"), format!("{}:x", theirs.job_meta_hash()));
    assert_eq!(ours.workers(), theirs.workers_set());
    assert!(
        ours.inflight("w")
            .starts_with(&format!("{}:", theirs.inflight_jobs_set()))
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_missed_the_message_of_an_admission_finds_it_at_its_next_look() {
    let stack = Stack::start().await;
    // Until the scheduler has opened the gate, it may empty the ready list, and nothing is admitted.
    let caller = stack.create_tenant("acme").await;
    let first = stack.probe(&caller, json!({})).await;
    stack.ended(&caller, &first).await;
    // A look may still follow from that job: this is about one that nothing asked for.
    while found_after(&stack).await < Duration::from_secs(1) {}
    stack.finish().await;
}

/// Hands over an entry as an admission does it, but for the message. Nobody was given a slot for it, so the
/// worker that finds it drops it. Answers how long that took.
async fn found_after(stack: &Stack) -> Duration {
    let ready = stack.gate.ready_queue("default");
    let job = JobId::new().to_string();
    let mut redis = stack.gate.connection();
    let handed_over = Instant::now();
    let () = redis::pipe()
        .atomic()
        .hset(ready.data(), &job, format!("nobody\tprobe\t{job}"))
        .hset_multiple(
            ready.meta(&job),
            &[
                ("attempts", "0"),
                ("max_attempts", "1"),
                ("status", "Pending"),
            ],
        )
        .rpush(ready.active(), &job)
        .query_async(&mut redis)
        .await
        .unwrap();
    eventually("the worker has looked", || async {
        let mut redis = stack.gate.connection();
        let is_there: bool = redis.hexists(ready.data(), &job).await.unwrap();
        (!is_there).then_some(())
    })
    .await;
    handed_over.elapsed()
}
