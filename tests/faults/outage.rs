//! PostgreSQL or Redis goes away and comes back.

use std::{
    str::FromStr,
    time::{Duration, Instant},
};

use serde_json::json;
use sqlx::postgres::PgConnectOptions;
use tokio_util::task::AbortOnDropHandle;

use crate::harness::{POOL, Proxy, Stack, StackOptions, eventually, servers};

async fn proxy_to_database() -> Proxy {
    let url = servers().await.owner_url("postgres");
    let options = PgConnectOptions::from_str(&url).unwrap();
    Proxy::start(([127, 0, 0, 1], options.get_port()).into()).await
}

async fn proxy_to_redis() -> Proxy {
    let url = servers().await.redis_url();
    let (_, address) = url.trim_end_matches("/0").rsplit_once('@').unwrap();
    Proxy::start(address.parse().unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn without_postgresql_the_api_answers_503_and_everything_goes_on_when_it_is_back() {
    let proxy = proxy_to_database().await;
    let options = StackOptions {
        database_at: Some(proxy.addr),
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("outage").await;
    let running = stack.probe(&caller, json!({ "sleep_ms": 500 })).await;
    proxy.cut();
    let answer = caller.get(&format!("/api/v1/jobs/{running}")).await;
    let answer = answer.problem(503, "unavailable");
    assert!(!answer.header("retry-after").is_empty());
    proxy.mend();
    eventually("the API answers again", || async {
        caller
            .get("/api/v1/jobs")
            .await
            .status
            .is_success()
            .then_some(())
    })
    .await;
    assert_eq!(stack.ended(&caller, &running).await["status"], "succeeded");
    let after = stack.probe(&caller, json!({})).await;
    assert_eq!(stack.ended(&caller, &after).await["status"], "succeeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_jobs_are_taken_and_run_when_it_is_back() {
    let proxy = proxy_to_redis().await;
    let options = StackOptions {
        redis_at: Some(proxy.addr),
        lease: Duration::from_secs(3),
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("noredis").await;
    let first = stack.probe(&caller, json!({})).await;
    stack.ended(&caller, &first).await;
    let long = stack.probe(&caller, json!({ "sleep_ms": 8000 })).await;
    stack.reaches(&caller, &long, "running").await;
    proxy.cut();
    let during = stack.probe(&caller, json!({})).await;
    let job = caller
        .get(&format!("/api/v1/jobs/{during}"))
        .await
        .expect(200)
        .json;
    assert_eq!(job["status"], "queued");
    // The outage outlasts the leases: the gate has closed by itself.
    let direct = stack.direct_gate().await;
    eventually("the gate is closed", || async {
        direct.epoch().await.unwrap().is_none().then_some(())
    })
    .await;
    proxy.mend();
    assert_eq!(stack.ended(&caller, &during).await["status"], "succeeded");
    // A job that ran all the while was not disturbed: its lease is kept in the record.
    let job = stack.ended(&caller, &long).await;
    assert_eq!(
        (job["status"].as_str(), job["attempt"].as_i64()),
        (Some("succeeded"), Some(1))
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_keeps_its_lease_and_ends_while_others_have_every_connection_of_the_pool() {
    let stack = Stack::start_with(StackOptions {
        lease: Duration::from_secs(3),
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("crowded").await;
    let id = stack.probe(&caller, json!({ "sleep_ms": 9000 })).await;
    stack.reaches(&caller, &id, "running").await;
    let mut taken = Vec::new();
    for _ in 0..POOL {
        taken.push(stack.database.engine().statement().await.unwrap());
    }
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (job["status"].as_str(), job["attempt"].as_i64()),
        (Some("succeeded"), Some(1))
    );
    drop(taken);
    stack.finish().await;
}

/// To prove a password takes the driver hundreds of turns of its runtime.
#[tokio::test]
async fn a_process_that_is_busy_opens_a_connection_in_time() {
    let stack = Stack::still().await;
    let busy: Vec<_> = (0..50)
        .map(|_| {
            AbortOnDropHandle::new(tokio::spawn(async {
                loop {
                    let began = Instant::now();
                    while began.elapsed() < Duration::from_millis(1) {}
                    tokio::task::yield_now().await;
                }
            }))
        })
        .collect();
    stack.connect_database().await.ping().await.unwrap();
    drop(busy);
    stack.finish().await;
}
