//! SIGKILL in the middle of a job.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::{
    flows::processes::{signal, spawn},
    harness::{Stack, StackOptions, eventually},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_killed_worker_is_finished_by_another_once_and_within_the_lease() {
    let options = StackOptions {
        workers: 0,
        lease: Duration::from_secs(3),
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("killed").await;
    let (mut victim, _file) = spawn(&stack, &["worker"]).await;
    let id = stack.probe(&caller, json!({ "sleep_ms": 1500 })).await;
    stack.reaches(&caller, &id, "running").await;
    victim.kill().await.unwrap();
    let killed = std::time::Instant::now();
    let survivor = tokio_util::sync::CancellationToken::new();
    stack.start_worker(survivor.clone()).await;
    let job = stack.ended(&caller, &id).await;
    println!(
        "finished {:.1} s after the kill",
        killed.elapsed().as_secs_f64()
    );
    assert_eq!(job["status"], "succeeded");
    assert_eq!(job["attempt"], 2, "the crash counts as an attempt");
    let attempts = caller
        .get(&format!("/api/v1/jobs/{id}/attempts"))
        .await
        .expect(200)
        .json;
    let outcomes: Vec<&str> = attempts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["crashed", "succeeded"]);
    survivor.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_killed_while_provisioning_leaves_a_namespace_that_another_completes() {
    let options = StackOptions {
        workers: 0,
        lease: Duration::from_secs(3),
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let (mut victim, _file) = spawn(&stack, &["worker"]).await;
    let created = stack
        .admin
        .post("/api/v1/tenants", &crate::harness::tenant_body("half"))
        .await
        .expect(201);
    let caller = stack.admin.with_key(&created.text_of("api_key"));
    let id = created.text_of("job_id");
    eventually("provisioning has begun", || async {
        let job = caller
            .get(&format!("/api/v1/jobs/{id}"))
            .await
            .expect(200)
            .json;
        (job["status"] != "queued").then_some(())
    })
    .await;
    victim.kill().await.unwrap();
    let survivor = tokio_util::sync::CancellationToken::new();
    stack.start_worker(survivor.clone()).await;
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    let twice = "SELECT count(*) FROM events WHERE type = 'job.succeeded'";
    assert_eq!(stack.count(twice).await, 1);
    survivor.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_worker_cannot_write_over_the_attempt_that_followed() {
    use unity_shared::{
        ids::WorkerId,
        jobs::{Finish, LeaseKey, Verdict, finish_jobs},
    };
    let stack = Stack::start().await;
    let caller = stack.create_tenant("late").await;
    let id = stack
        .probe(&caller, json!({ "sleep_ms": 300, "echo": "mine" }))
        .await;
    stack.reaches(&caller, &id, "running").await;
    let stale = Finish {
        lease: LeaseKey {
            tenant_id: "late".parse().unwrap(),
            id: id.parse().unwrap(),
            fence: 0,
        },
        started_at: stack.clock.now(),
        verdict: Verdict::Succeeded(json!("forged")),
    };
    let mut tx = stack.database.engine().statement().await.unwrap();
    let counted = finish_jobs(&mut tx, WorkerId::new(), &[stale], stack.clock.now())
        .await
        .unwrap();
    assert!(counted.is_empty());
    drop(tx);
    assert_eq!(stack.ended(&caller, &id).await["result"]["echo"], "mine");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_of_one_resource_key_keep_their_order_over_workers_that_are_killed_and_stopped() {
    for how in [Signal::SIGKILL, Signal::SIGTERM] {
        let options = StackOptions {
            workers: 0,
            lease: Duration::from_secs(3),
            ..StackOptions::default()
        };
        let mut stack = Stack::start_with(options).await;
        let caller = stack.create_tenant("ordered").await;
        let (victim, _file) = spawn(&stack, &["worker"]).await;
        let mut ids = Vec::new();
        for number in 0..6 {
            // The first is under way for longer than a worker waits for it when it stops.
            let sleep_ms = if number == 0 { 4000 } else { 20 };
            let body = json!({
                "kind": "probe", "payload": { "sleep_ms": sleep_ms }, "resource_key": "cluster-1",
            });
            let enqueued = caller.post("/api/v1/jobs", &body).await.expect(202);
            ids.push(enqueued.text_of("id"));
            if number == 0 {
                stack.reaches(&caller, &ids[0], "running").await;
            }
        }
        signal(&victim, how);
        let survivor = tokio_util::sync::CancellationToken::new();
        stack.start_worker(survivor.clone()).await;
        let mut ends = Vec::new();
        for id in &ids {
            let job = stack.ended(&caller, id).await;
            assert_eq!(job["status"], "succeeded");
            ends.push(job["finished_at"].as_str().unwrap().to_owned());
        }
        assert!(ends.is_sorted(), "after {how}: {ends:?}");
        survivor.cancel();
        stack.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_loses_its_worker_three_times_in_a_row_fails_and_is_not_run_again() {
    let options = StackOptions {
        workers: 0,
        lease: Duration::from_secs(2),
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("deadly").await;
    let order = json!({ "kind": "probe", "payload": { "sleep_ms": 600_000 }, "max_attempts": 100 });
    let id = caller
        .post("/api/v1/jobs", &order)
        .await
        .expect(202)
        .text_of("id");
    for attempt in 1..=3 {
        let (mut victim, _file) = spawn(&stack, &["worker", "--kinds", "probe"]).await;
        eventually(&format!("attempt {attempt} runs"), || async {
            let job = caller
                .get(&format!("/api/v1/jobs/{id}"))
                .await
                .expect(200)
                .json;
            (job["status"] == "running" && job["attempt"] == attempt).then_some(())
        })
        .await;
        victim.kill().await.unwrap();
    }
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (&job["status"], &job["error"]["code"], &job["attempt"]),
        (&json!("failed"), &json!("worker_crashed"), &json!(3))
    );
    let attempts = caller
        .get(&format!("/api/v1/jobs/{id}/attempts"))
        .await
        .expect(200)
        .json;
    let outcomes: Vec<&str> = attempts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|attempt| attempt["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["crashed", "crashed", "crashed"]);
    let survivor = tokio_util::sync::CancellationToken::new();
    stack.start_worker(survivor.clone()).await;
    let after = stack.probe(&caller, json!({})).await;
    assert_eq!(stack.ended(&caller, &after).await["status"], "succeeded");
    stack.all_ended().await;
    survivor.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_dies_while_it_cancels_leaves_a_cancelled_job() {
    use nix::{
        sys::signal::{Signal, kill},
        unistd::Pid,
    };
    let options = StackOptions {
        workers: 0,
        lease: Duration::from_secs(2),
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("dying").await;
    let (mut victim, _file) = spawn(&stack, &["worker"]).await;
    let id = stack.probe(&caller, json!({ "sleep_ms": 600_000 })).await;
    stack.reaches(&caller, &id, "running").await;
    // Frozen, so that it cannot end the job before it dies.
    let pid = Pid::from_raw(i32::try_from(victim.id().unwrap()).unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    caller
        .post(&format!("/api/v1/jobs/{id}/cancel"), &json!({}))
        .await
        .expect(202);
    victim.kill().await.unwrap();
    let survivor = tokio_util::sync::CancellationToken::new();
    stack.start_worker(survivor.clone()).await;
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&json!("cancelled"), &json!(1))
    );
    stack.all_ended().await;
    survivor.cancel();
    stack.finish().await;
}
