//! The cap on waiting jobs: exact, whoever asks at the same time and wherever.

use serde_json::{Value, json};

use crate::harness::{Answer, Caller, Stack, StackOptions, eventually};

const JOBS: &str = "/api/v1/jobs";
const BATCH: &str = "/api/v1/jobs:batch";

/// A stack on which nothing runs, and a tenant with so many places left.
async fn with_room(id: &str, places: i64) -> (Stack, Caller) {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant(id).await;
    // One waits already: it provisions the namespace.
    let limits = json!({ "max_concurrent": 1, "max_waiting": places + 1 });
    let path = format!("/api/v1/tenants/{id}/job-limits");
    stack.admin.put(&path, &limits).await.expect(200);
    (stack, caller)
}

/// Single orders, orders with a key of their own, and batches of two, all at once; answers how many jobs
/// were taken in. `word` tells one rush from another.
async fn rush(callers: &[Caller], word: &str, order: &Value) -> usize {
    let batch = json!({ "jobs": [order, order] });
    let mut asked = Vec::new();
    for n in 0..64 {
        let caller = callers[n % callers.len()].clone();
        let (order, batch, key) = (order.clone(), batch.clone(), format!("{word}-{n}"));
        asked.push(async move {
            match n % 4 {
                0 => {
                    caller
                        .post_with(JOBS, &order, &[("idempotency-key", &key)])
                        .await
                }
                1 => caller.post(BATCH, &batch).await,
                _ => caller.post(JOBS, &order).await,
            }
        });
    }
    let mut taken = 0;
    for answer in futures::future::join_all(asked).await {
        taken += jobs_of(answer);
    }
    taken
}

fn jobs_of(answer: Answer) -> usize {
    if answer.status == 202 {
        return answer.json["items"].as_array().map_or(1, Vec::len);
    }
    let refused = answer.problem(429, "quota_exceeded");
    assert_eq!(refused.json["quota"]["name"], "waiting_jobs");
    0
}

async fn waiting(stack: &Stack) -> i64 {
    stack
        .count("SELECT count(*) FROM jobs WHERE status IN ('scheduled', 'queued', 'retrying')")
        .await
}

async fn cancel(caller: &Caller, jobs: u32) {
    let order = json!({ "filter": { "kind": "probe" }, "limit": jobs });
    caller.post("/api/v1/jobs:cancel", &order).await.expect(202);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_orders_at_once_exactly_as_many_are_taken_as_there_are_places() {
    let (stack, caller) = with_room("exact", 10).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let callers = [caller.clone()];
    assert_eq!(rush(&callers, "first", &order).await, 10);
    assert_eq!(rush(&callers, "again", &order).await, 0);
    for freed in [1, 3] {
        cancel(&caller, freed).await;
        let mut taken = 0;
        // A refusal is good for a moment, so the first rush may meet the last one's.
        for round in 0..20 {
            taken += rush(&callers, &format!("freed-{freed}-{round}"), &order).await;
        }
        assert_eq!(taken, usize::try_from(freed).unwrap());
    }
    assert_eq!(waiting(&stack).await, 11);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_holds_when_redis_was_emptied_and_for_jobs_that_wait_behind_a_key() {
    let (stack, caller) = with_room("emptied", 10).await;
    let order = json!({ "kind": "probe", "payload": {}, "resource_key": "one" });
    let callers = [caller.clone()];
    assert_eq!(rush(&callers, "first", &order).await, 10);
    for round in 0..3 {
        stack.wipe_redis().await;
        assert_eq!(rush(&callers, &format!("wiped-{round}"), &order).await, 0);
    }
    assert_eq!(waiting(&stack).await, 11);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_emptied_redis_makes_no_room_far_from_the_cap_either() {
    let (stack, caller) = with_room("far", 30_000).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let batch = json!({ "jobs": vec![order; 1000] });
    for _ in 0..15 {
        caller.post(BATCH, &batch).await.expect(202);
    }
    let mut taken = 15;
    loop {
        stack.wipe_redis().await;
        match jobs_of(caller.post(BATCH, &batch).await) {
            0 => break,
            _ => taken += 1,
        }
    }
    assert_eq!(taken, 30);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_is_one_for_all_api_processes() {
    let (mut stack, caller) = with_room("shared", 10).await;
    let other = Caller::new(&stack.another_api().await, caller.key.as_deref());
    let order = json!({ "kind": "probe", "payload": {} });
    let taken = rush(&[caller.clone(), other.clone()], "both", &order).await;
    assert_eq!(taken, 10);
    assert_eq!(waiting(&stack).await, 11);
    cancel(&caller, 2).await;
    eventually("the other has room too", || async {
        let answer = other.post(JOBS, &order).await;
        (answer.status == 202).then_some(())
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_fails_gives_its_place_back() {
    let (stack, caller) = with_room("failed", 1).await;
    let switch = stack.drain(json!({ "tenant": "failed" })).await;
    let order = json!({ "kind": "probe", "payload": {} });
    for _ in 0..5 {
        caller
            .post(JOBS, &order)
            .await
            .problem(409, "switch.draining");
    }
    stack.admin.delete(&switch).await.expect(204);
    caller.post(JOBS, &order).await.expect(202);
    caller
        .post(JOBS, &order)
        .await
        .problem(429, "quota_exceeded");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_tried_again_needs_a_place_too() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("again").await;
    let mut dead = Vec::new();
    for _ in 0..4 {
        let id = stack.probe(&caller, json!({ "fatal": true })).await;
        stack.ended(&caller, &id).await;
        dead.push(id);
    }
    eventually("nothing is left", || async {
        (waiting(&stack).await == 0).then_some(())
    })
    .await;
    let limits = json!({ "max_concurrent": 0, "max_waiting": 3 });
    let path = "/api/v1/tenants/again/job-limits";
    stack.admin.put(path, &limits).await.expect(200);
    let all = json!({ "filter": { "status": "failed" } });
    caller
        .post("/api/v1/jobs:retry", &all)
        .await
        .problem(429, "quota_exceeded");
    let retries = dead.iter().map(|id| {
        let path = format!("/api/v1/jobs/{id}/retry");
        let caller = caller.clone();
        async move { caller.post(&path, &json!({})).await }
    });
    let answers = futures::future::join_all(retries).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(taken, 3);
    let limits = json!({ "max_concurrent": 5 });
    stack.admin.put(path, &limits).await.expect(200);
    stack.finish().await;
}
