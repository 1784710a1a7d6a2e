//! The fleet: workers that take some kinds, pools that are set while they run, what operators see.

use std::time::Duration;

use redis::AsyncCommands as _;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use unity_shared::{
    ids::WorkerId,
    queue::{Beat, Member},
};

use crate::{
    flows::gate::set_limit,
    harness::{Stack, StackOptions, eventually},
};

async fn no_workers() -> Stack {
    let options = StackOptions {
        workers: 0,
        concurrency: 2,
        ..StackOptions::default()
    };
    Stack::start_with(options).await
}

async fn pool(stack: &Stack, name: &str) -> Option<Value> {
    let pools = stack
        .admin
        .get("/api/v1/worker-pools")
        .await
        .expect(200)
        .json;
    let mut items = pools["items"].as_array().unwrap().iter();
    items.find(|pool| pool["pool"] == name).cloned()
}

async fn has_capacity(stack: &Stack, name: &str, capacity: i64) {
    eventually(&format!("pool {name} has capacity {capacity}"), || async {
        let pool = pool(stack, name).await?;
        (pool["capacity"] == capacity).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_and_pools_are_seen_while_they_live() {
    let mut stack = no_workers().await;
    let (one, two) = (CancellationToken::new(), CancellationToken::new());
    let first = stack.start_worker_of("default", &[], one.clone()).await;
    let second = stack
        .start_worker_of("imaging", &["probe"], two.clone())
        .await;
    has_capacity(&stack, "imaging", 2).await;
    has_capacity(&stack, "default", 2).await;
    let all = stack.admin.get("/api/v1/workers").await.expect(200).json;
    let ids: Vec<&str> = all["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|w| w["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 2);
    assert!(ids.contains(&first.to_string().as_str()));
    let some = stack
        .admin
        .get("/api/v1/workers?pool=imaging")
        .await
        .expect(200)
        .json;
    let worker = &some["items"][0];
    assert_eq!(worker["id"], second.to_string());
    assert_eq!(
        (&worker["kinds"], &worker["pool"]),
        (&json!(["probe"]), &json!("imaging"))
    );
    assert_eq!(
        (&worker["concurrency"], &worker["running"]),
        (&json!(2), &json!(0))
    );
    two.cancel();
    eventually("the stopped worker is gone", || async {
        let left = stack.admin.get("/api/v1/workers").await.expect(200).json;
        (left["items"].as_array().unwrap().len() == 1).then_some(())
    })
    .await;
    // The pool is remembered, with nothing in it.
    let empty = pool(&stack, "imaging").await.unwrap();
    assert_eq!(
        (&empty["workers"], &empty["capacity"]),
        (&json!(0), &json!(0))
    );
    let first_page = stack
        .admin
        .get("/api/v1/worker-pools?limit=1")
        .await
        .expect(200);
    let token = first_page.text_of("next_page_token");
    let path = format!("/api/v1/worker-pools?limit=1&page_token={token}");
    let next = stack.admin.get(&path).await.expect(200).json;
    assert_eq!(next["items"][0]["pool"], "imaging");
    one.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pools_concurrency_is_changed_while_its_jobs_run() {
    let mut stack = no_workers().await;
    let caller = stack.create_tenant("wide").await;
    let worker = CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await);
    }
    let reaches = async |wanted: i64| {
        eventually(&format!("{wanted} probes run"), || async {
            let sql = "SELECT count(*) FROM jobs WHERE kind = 'probe' AND status = 'running'";
            (stack.count(sql).await == wanted).then_some(())
        })
        .await;
    };
    reaches(2).await;
    let path = "/api/v1/worker-pools/default";
    let set = stack
        .admin
        .patch(path, &json!({ "concurrency": 5 }))
        .await
        .expect(200)
        .json;
    assert_eq!(set["concurrency"], 5);
    reaches(5).await;
    // Fewer: nothing is ended, and nothing begins until there is room again.
    stack
        .admin
        .patch(path, &json!({ "concurrency": 1 }))
        .await
        .expect(200);
    has_capacity(&stack, "default", 1).await;
    let sql = "SELECT count(*) FROM jobs WHERE kind = 'probe' AND status = 'running'";
    assert_eq!(stack.count(sql).await, 5);
    let all = json!({ "filter": { "status": "running" } });
    caller.post("/api/v1/jobs:cancel", &all).await.expect(202);
    reaches(1).await;
    stack
        .admin
        .patch(path, &json!({ "concurrency": null }))
        .await
        .expect(200);
    has_capacity(&stack, "default", 2).await;
    let all = json!({ "filter": { "kind": "probe" } });
    caller.post("/api/v1/jobs:cancel", &all).await.expect(202);
    for id in &ids {
        stack.ended(&caller, id).await;
    }
    stack.all_ended().await;
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_pool_takes_nothing_until_it_goes_on() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("still").await;
    has_capacity(&stack, "default", 8).await;
    let path = "/api/v1/worker-pools/default";
    let set = stack
        .admin
        .patch(path, &json!({ "paused": true }))
        .await
        .expect(200)
        .json;
    assert_eq!(set["paused"], true);
    has_capacity(&stack, "default", 0).await;
    let id = stack.probe(&caller, json!({})).await;
    eventually("the job says that no worker takes it", || async {
        let why = caller
            .get(&format!("/api/v1/jobs/{id}/why"))
            .await
            .expect(200)
            .json;
        (why["reasons"][0]["code"] == "no_worker").then_some(())
    })
    .await;
    stack
        .admin
        .patch(path, &json!({ "paused": false }))
        .await
        .expect(200);
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_of_some_kinds_leaves_the_others_queued() {
    let mut stack = no_workers().await;
    let caller = stack.create_tenant("some").await;
    let worker = CancellationToken::new();
    stack
        .start_worker_of("default", &["provision_namespace"], worker.clone())
        .await;
    let id = stack.probe(&caller, json!({})).await;
    let provision = caller
        .get("/api/v1/jobs?kind=provision_namespace")
        .await
        .expect(200);
    let provision = provision.json["items"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        stack.ended(&caller, &provision).await["status"],
        "succeeded"
    );
    let why = caller
        .get(&format!("/api/v1/jobs/{id}/why"))
        .await
        .expect(200)
        .json;
    assert_eq!(why["reasons"][0]["code"], "no_worker", "{why}");
    let other = CancellationToken::new();
    stack
        .start_worker_of("default", &["probe"], other.clone())
        .await;
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    worker.cancel();
    other.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn queues_show_what_waits_and_runs_for_whom() {
    let mut stack = no_workers().await;
    for name in ["alpha", "bravo", "charlie"] {
        let caller = stack.create_tenant(name).await;
        stack.probe(&caller, json!({ "sleep_ms": 60_000 })).await;
    }
    let page = stack.admin.get("/api/v1/queues?limit=2").await.expect(200);
    let items = page.json["items"].as_array().unwrap();
    let tenants: Vec<&str> = items
        .iter()
        .map(|line| line["tenant_id"].as_str().unwrap())
        .collect();
    assert_eq!(tenants, ["alpha", "bravo"]);
    assert_eq!(
        (&items[0]["waiting"], &items[0]["running"]),
        (&json!(2), &json!(0))
    );
    assert!(items[0]["oldest_wait_seconds"].as_i64().unwrap() >= 0);
    assert_eq!(
        (&items[0]["queue"], &items[0]["limit"]),
        (&json!("default"), &json!(20))
    );
    let token = page.text_of("next_page_token");
    let next = stack
        .admin
        .get(&format!("/api/v1/queues?limit=2&page_token={token}"))
        .await
        .expect(200);
    assert_eq!(next.json["items"][0]["tenant_id"], "charlie");
    assert_eq!(next.json["next_page_token"], Value::Null);
    // Tenants that only run are there too.
    let worker = CancellationToken::new();
    stack
        .start_worker_of("default", &["probe"], worker.clone())
        .await;
    eventually("a line shows a running job", || async {
        let lines = stack.admin.get("/api/v1/queues").await.expect(200).json;
        let mut lines = lines["items"].as_array().unwrap().clone().into_iter();
        lines.find(|line| line["running"] == 1)
    })
    .await;
    worker.cancel();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_was_fetched_and_finds_no_place_goes_to_a_worker_that_has_one() {
    // No slot ends while this runs.
    let options = StackOptions {
        workers: 1,
        concurrency: 8,
        lease: Duration::from_mins(2),
        ..StackOptions::default()
    };
    let mut stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("acme").await;
    set_limit(&stack, "acme", 32).await;
    let order = json!({ "kind": "probe", "payload": { "sleep_ms": 100_000 } });
    let run = async |count: usize| {
        let orders = json!({ "jobs": vec![&order; count] });
        caller.post("/api/v1/jobs:batch", &orders).await.expect(202);
    };
    let running = async |stack: &Stack, count: i64| {
        eventually(&format!("{count} run"), || async {
            let running = "SELECT count(*) FROM jobs WHERE status = 'running'";
            (stack.count(running).await == count).then_some(())
        })
        .await;
    };
    stack.all_ended().await;
    run(7).await;
    running(&stack, 7).await;
    // Room for more than the one place that is left, in a worker that looks for nothing.
    let elsewhere = Member {
        worker: WorkerId::new(),
        queue: "default",
        kinds: &["probe"],
    };
    let beat = Beat {
        member: elsewhere,
        capacity: 8,
        claims: &[],
    };
    stack.gate.beat(&beat).await.unwrap();
    run(2).await;
    running(&stack, 8).await;
    // The one place is taken, and what came with its job waits for whoever has another.
    let ready = stack.gate.ready_queue("default");
    eventually("the other job is passed on", || async {
        let mut redis = stack.gate.connection();
        let waiting: usize = redis.llen(ready.active()).await.unwrap();
        (waiting == 1).then_some(())
    })
    .await;
    let other = CancellationToken::new();
    stack.start_worker(other.clone()).await;
    running(&stack, 9).await;
    other.cancel();
    stack.stop().await;
}
