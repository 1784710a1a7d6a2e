//! The gate: limits, keys, turns, and an emptied Redis.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use redis::AsyncCommands;
use serde_json::{Value, json};
use unity_shared::{
    clock::Clock,
    ids::WorkerId,
    queue::{Beat, Member, Settled, read_entry},
    tenancy::{JobLimits, LimitsAt, Plan},
};

use crate::harness::{Caller, Stack, StackOptions, eventually};

pub async fn set_limit(stack: &Stack, tenant: &str, max_concurrent: u32) {
    let version = sqlx::query_scalar(
        "UPDATE tenants SET max_concurrent = $2, version = version + 1 WHERE id = $1 RETURNING version",
    )
    .bind(tenant)
    .bind(i32::try_from(max_concurrent).unwrap())
    .fetch_one(&mut stack.owner().await)
    .await
    .unwrap();
    let limits = JobLimits {
        max_concurrent,
        ..Plan::Pro.default_job_limits()
    };
    let at = LimitsAt {
        tenant_id: tenant.parse().unwrap(),
        version,
        limits,
    };
    stack.gate.set_limits(&[at]).await.unwrap();
}

/// Most attempts of the tenant's probes that overlapped, from the record.
pub(super) async fn most_at_once(stack: &Stack, tenant: &str) -> i64 {
    sqlx::query_scalar(
        "WITH probes AS (SELECT started_at, finished_at FROM job_attempts WHERE tenant_id = $1
                         UNION ALL SELECT attempt_started_at, finished_at FROM jobs
                         WHERE kind = 'probe' AND tenant_id = $1 AND attempt_started_at IS NOT NULL),
              edges AS (SELECT started_at AS at, 1 AS step FROM probes
                        UNION ALL SELECT finished_at, -1 FROM probes)
         SELECT max(running) FROM (SELECT sum(step) OVER (ORDER BY at, step) AS running FROM edges) AS r",
    )
    .bind(tenant)
    .fetch_one(&mut stack.owner().await)
    .await
    .unwrap()
}

async fn enqueue(stack: &Stack, caller: &Caller, count: usize, payload: Value) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(stack.probe(caller, payload.clone()).await);
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_never_runs_more_than_its_limit_over_two_workers() {
    let stack = Stack::start_with(StackOptions {
        workers: 2,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("limited").await;
    set_limit(&stack, "limited", 3).await;
    for id in enqueue(&stack, &caller, 24, json!({ "sleep_ms": 30 })).await {
        assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    }
    assert_eq!(most_at_once(&stack, "limited").await, 3);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_zero_holds_every_job_until_it_is_raised() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("held").await;
    stack.all_ended().await;
    set_limit(&stack, "held", 0).await;
    let id = stack.probe(&caller, json!({})).await;
    let other = stack.create_tenant("free").await;
    // Another tenant's job, enqueued later, passes by: the held one waits in nobody's way.
    let passed = stack.probe(&other, json!({})).await;
    assert_eq!(stack.ended(&other, &passed).await["status"], "succeeded");
    let job = caller
        .get(&format!("/api/v1/jobs/{id}"))
        .await
        .expect(200)
        .json;
    assert_eq!(job["status"], "queued");
    set_limit(&stack, "held", 1).await;
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_with_one_resource_key_run_one_after_the_other_in_order() {
    let stack = Stack::start_with(StackOptions {
        workers: 2,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("keyed").await;
    let body =
        json!({ "kind": "probe", "payload": { "sleep_ms": 20 }, "resource_key": "cluster-1" });
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(
            caller
                .post("/api/v1/jobs", &body)
                .await
                .expect(202)
                .text_of("id"),
        );
    }
    let mut starts = Vec::new();
    for id in &ids {
        starts.push(
            stack.ended(&caller, id).await["started_at"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert!(starts.is_sorted(), "{starts:?}");
    assert_eq!(most_at_once(&stack, "keyed").await, 1);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_higher_priority_goes_first() {
    let options = StackOptions {
        workers: 0,
        concurrency: 1,
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("priority").await;
    let mut ids = Vec::new();
    for priority in [1, 9, 5] {
        let body = json!({ "kind": "probe", "payload": {}, "priority": priority });
        ids.push(
            caller
                .post("/api/v1/jobs", &body)
                .await
                .expect(202)
                .text_of("id"),
        );
    }
    let worker = tokio_util::sync::CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    let mut starts = Vec::new();
    for id in &ids {
        starts.push(
            stack.ended(&caller, id).await["started_at"]
                .as_str()
                .unwrap()
                .to_owned(),
        );
    }
    assert!(starts[1] < starts[2] && starts[2] < starts[0], "{starts:?}");
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_offer_was_lost_is_offered_by_the_sweeper() {
    let stack = Stack::start_with(StackOptions {
        scheduler: false,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("lost").await;
    let id = stack.probe(&caller, json!({})).await;
    stack.ended(&caller, &id).await;
    sqlx::query(
        "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts,
                           timeout_seconds, run_at, created_at)
         SELECT tenant_id, gen_random_uuid(), kind, queue, 'queued', priority, payload, max_attempts,
                timeout_seconds, now(), now() FROM jobs WHERE kind = 'probe'",
    )
    .execute(&mut stack.owner().await)
    .await
    .unwrap();
    stack.tick().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_loses_no_job_and_breaks_no_limit() {
    let stack = Stack::start_with(StackOptions {
        workers: 2,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("wiped").await;
    set_limit(&stack, "wiped", 4).await;
    let ids = enqueue(&stack, &caller, 60, json!({ "sleep_ms": 40 })).await;
    stack.wipe_redis().await;
    let more = enqueue(&stack, &caller, 10, json!({ "sleep_ms": 5 })).await;
    for id in ids.iter().chain(&more) {
        assert_eq!(stack.ended(&caller, id).await["status"], "succeeded");
    }
    assert!(most_at_once(&stack, "wiped").await <= 4);
    let twice = "SELECT count(*) FROM (SELECT job_id FROM events WHERE type = 'job.succeeded'
                 GROUP BY job_id HAVING count(*) > 1) AS t";
    assert_eq!(stack.count(twice).await, 0);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_free_again_when_the_jobs_have_ended() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("slots").await;
    for id in enqueue(&stack, &caller, 10, json!({})).await {
        stack.ended(&caller, &id).await;
    }
    eventually("no slot is held", || async {
        let held = stack
            .gate
            .expiring("default", Duration::from_hours(1), 0)
            .await
            .unwrap();
        held.is_empty().then_some(())
    })
    .await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn short_jobs_travel_together_and_each_is_run_once() {
    let options = StackOptions {
        workers: 0,
        concurrency: 64,
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("brief").await;
    set_limit(&stack, "brief", 100).await;
    let worker = tokio_util::sync::CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    // By these the gate learns that such jobs are short.
    for _ in 0..20 {
        let id = stack.probe(&caller, json!({})).await;
        assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    }
    worker.cancel();
    eventually("the worker has left", || async {
        let left = "SELECT count(*) FROM workers WHERE stopped_at IS NULL";
        (stack.count(left).await == 0).then_some(())
    })
    .await;
    let member = Member {
        worker: WorkerId::new(),
        queue: "default",
        kinds: &["probe"],
    };
    let beat = Beat {
        member,
        capacity: 64,
        claims: &[],
    };
    stack.gate.beat(&beat).await.unwrap();
    let orders: Vec<Value> = (0..200)
        .map(|number| json!({ "kind": "probe", "payload": { "echo": number } }))
        .collect();
    let orders = json!({ "jobs": orders });
    let batch = caller.post("/api/v1/jobs:batch", &orders).await.expect(202);
    let keys = stack.gate.ready_queue("default");
    let entries: Vec<String> = stack.gate.connection().hvals(keys.data()).await.unwrap();
    assert!(
        entries.iter().any(|entry| entry.contains(',')),
        "every job has an entry of its own: {entries:?}"
    );
    stack.gate.leave(member.worker, "default").await.unwrap();

    let worker = tokio_util::sync::CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    for (number, item) in batch.json["items"].as_array().unwrap().iter().enumerate() {
        let job = stack.ended(&caller, item["id"].as_str().unwrap()).await;
        assert_eq!(
            (&job["status"], &job["attempt"], &job["result"]["echo"]),
            (&json!("succeeded"), &json!(1), &json!(number))
        );
    }
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_soon_after_the_slot_was_given_does_not_renew_it_and_counts_from_then() {
    let clock = Clock::manual("2026-11-23T10:05:00Z".parse().unwrap());
    let stack = Stack::still_at(&clock).await;
    let caller = stack.create_tenant("aged").await;
    let lease = stack.gate.lease();
    let member = Member {
        worker: WorkerId::new(),
        queue: "default",
        kinds: &["probe"],
    };
    let beat = Beat {
        member,
        capacity: 1,
        claims: &[],
    };
    for (waited, age, left) in [
        (lease / 30, lease / 30, lease * 29 / 30),
        (lease / 2, Duration::ZERO, lease),
    ] {
        stack.probe(&caller, json!({})).await;
        stack.gate.beat(&beat).await.unwrap();
        clock.advance(TimeDelta::from_std(waited).unwrap());
        let keys = stack.gate.ready_queue("default");
        let entries: Vec<Vec<u8>> = stack.gate.connection().hvals(keys.data()).await.unwrap();
        let jobs = read_entry("default", &entries[0]).unwrap();
        let claims = stack.gate.claim(&member, &jobs).await.unwrap();
        assert_eq!((claims.admitted.len(), claims.age), (1, age));
        let ends_within = async |time| {
            let ids = stack.gate.expiring("default", time, 0).await.unwrap();
            ids.contains(&jobs[0].id)
        };
        let less = left.saturating_sub(Duration::from_millis(1));
        assert!(ends_within(left).await && !ends_within(less).await);
        let settled = Settled {
            line: Arc::clone(&jobs[0].line),
            id: jobs[0].id,
            ran: None,
            keyed: false,
            waits_again: false,
        };
        let freed = stack.gate.settle(member.worker, &[settled]).await.unwrap();
        assert_eq!(freed, 1);
    }
    stack.stop().await;
}
