//! Whose turn it is: shares by weight, and jobs that run long count for more. Told by counts: what was
//! started before what, not how long it took.

use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::harness::{Caller, Stack, StackOptions, eventually};

/// A fleet of one worker with so many places, and tenants that are provisioned and wait for nothing.
async fn idle(concurrency: u32, tenants: &[&str]) -> (Stack, Vec<Caller>) {
    let options = StackOptions {
        workers: 0,
        concurrency,
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    // Every tenth minute it would put jobs between those that are counted.
    stack.change("UPDATE schedules SET enabled = false").await;
    let mut callers = Vec::new();
    for tenant in tenants {
        callers.push(stack.create_tenant(tenant).await);
    }
    let first = CancellationToken::new();
    stack.start_worker(first.clone()).await;
    stack.all_ended().await;
    first.cancel();
    eventually("the worker has left", || async {
        let there = "SELECT count(*) FROM workers WHERE stopped_at IS NULL";
        (stack.count(there).await == 0).then_some(())
    })
    .await;
    // What provisioning cost is on their accounts; an emptied gate begins anew.
    stack.wipe_redis().await;
    eventually("the gate is open again", || async {
        stack.gate.epoch().await.unwrap()
    })
    .await;
    (stack, callers)
}

async fn batch(caller: &Caller, count: usize, payload: &Value) {
    let job = json!({ "kind": "probe", "payload": payload });
    let order = json!({ "jobs": vec![job; count] });
    caller.post("/api/v1/jobs:batch", &order).await.expect(202);
}

/// How many probes of `tenant` had started when the `nth` probe over all had.
async fn started_among_first(stack: &Stack, nth: i64, tenant: &str) -> i64 {
    sqlx::query_scalar(
        "SELECT count(*) FILTER (WHERE tenant_id = $1)
         FROM (SELECT tenant_id FROM jobs WHERE kind = 'probe' AND started_at IS NOT NULL
               ORDER BY started_at, id LIMIT $2) AS first",
    )
    .bind(tenant)
    .bind(nth)
    .fetch_one(&mut stack.owner().await)
    .await
    .unwrap()
}

async fn probes_end(stack: &Stack) {
    eventually("the probes end", || async {
        let left = "SELECT count(*) FROM jobs WHERE kind = 'probe' AND finished_at IS NULL";
        (stack.count(left).await == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quiet_tenant_does_not_wait_behind_a_flood() {
    let (mut stack, callers) = idle(2, &["flood", "quiet"]).await;
    for (caller, count) in callers.iter().zip([40, 3]) {
        batch(caller, count, &json!({ "sleep_ms": 5 })).await;
    }
    // Everything waits before anything runs, so the order is the gate's alone.
    let worker = CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    probes_end(&stack).await;
    let passed: i64 = stack
        .count(
            "SELECT count(*) FROM jobs
             WHERE tenant_id = 'flood' AND kind = 'probe'
               AND started_at < (SELECT max(started_at) FROM jobs
                                 WHERE tenant_id = 'quiet' AND kind = 'probe')",
        )
        .await;
    // By turns; in one line for all it would be 40. A handler that was held up is on its tenant's account.
    assert!(passed <= 20, "{passed} of 40 jobs of the flood went first");
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_of_three_times_the_weight_gets_three_times_the_turns() {
    let (mut stack, callers) = idle(4, &["heavy", "light"]).await;
    for (tenant, weight) in [("heavy", 3), ("light", 1)] {
        let limits = json!({ "max_concurrent": 20, "weight": weight });
        let path = format!("/api/v1/tenants/{tenant}/job-limits");
        stack.admin.put(&path, &limits).await.expect(200);
    }
    for caller in &callers {
        batch(caller, 300, &json!({ "sleep_ms": 10 })).await;
    }
    let worker = CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    probes_end(&stack).await;
    // Both have jobs waiting as long as the heavy one's 300 last: until about the 400th start.
    let heavy = started_among_first(&stack, 320, "heavy").await;
    println!("{heavy} of the first 320 starts are the heavy tenant's");
    assert!(
        (216..=264).contains(&heavy),
        "{heavy} of 320, not about 240"
    );
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_long_jobs_gets_fewer_turns_than_one_with_short_ones() {
    let (mut stack, callers) = idle(2, &["long", "short"]).await;
    batch(&callers[0], 100, &json!({ "sleep_ms": 100 })).await;
    batch(&callers[1], 200, &json!({ "sleep_ms": 10 })).await;
    let worker = CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    probes_end(&stack).await;
    // By time each has one half; by counts the short ones have ten for each long one.
    let long = started_among_first(&stack, 150, "long").await;
    println!("{long} of the first 150 starts are long jobs");
    assert!(
        (5..=40).contains(&long),
        "{long} of 150 starts are long jobs"
    );
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_limit_is_one_over_all_its_pools_and_kinds() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("pools").await;
    let limits = json!({ "max_concurrent": 2 });
    let path = "/api/v1/tenants/pools/job-limits";
    stack.admin.put(path, &limits).await.expect(200);
    batch(&caller, 30, &json!({ "sleep_ms": 40 })).await;
    // Each with a key of its own, or they would run one by one and take each other's place.
    for n in 0..8 {
        let order = json!({ "kind": "provision_namespace", "payload": {}, "resource_key": format!("k{n}") });
        caller.post("/api/v1/jobs", &order).await.expect(202);
    }
    let worker = CancellationToken::new();
    for (pool, kind) in [("probes", "probe"), ("clusters", "provision_namespace")] {
        stack.start_worker_of(pool, &[kind], worker.clone()).await;
    }
    stack.all_ended().await;
    let most = "WITH runs AS (SELECT attempt_started_at AS start, finished_at AS stop FROM jobs
                              WHERE attempt_started_at IS NOT NULL
                              UNION ALL SELECT started_at, finished_at FROM job_attempts),
                     edges AS (SELECT start AS at, 1 AS step FROM runs UNION ALL SELECT stop, -1 FROM runs)
                SELECT max(running) FROM (SELECT sum(step) OVER (ORDER BY at, step) AS running FROM edges) AS r";
    assert_eq!(stack.count(most).await, 2);
    let pools = "SELECT count(DISTINCT worker_id) FROM jobs WHERE worker_id IS NOT NULL";
    assert_eq!(stack.count(pools).await, 2, "both pools took part");
    worker.cancel();
    stack.finish().await;
}
