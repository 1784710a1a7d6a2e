//! `Idempotency-Key`: one effect and one answer, however often a request arrives.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use unity_shared::clock::Clock;

use crate::harness::{Answer, Caller, Stack};

const JOBS: &str = "/api/v1/jobs";
const TENANTS: &str = "/api/v1/tenants";

fn order(echo: &str) -> Value {
    json!({ "kind": "probe", "payload": { "echo": echo } })
}

async fn post(caller: &Caller, path: &str, key: &str, body: &Value) -> Answer {
    caller
        .post_with(path, body, &[("idempotency-key", key)])
        .await
}

fn is_replayed(answer: &Answer) -> bool {
    match answer.header("idempotency-replayed") {
        "" => false,
        "true" => true,
        other => panic!("idempotency-replayed: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_order_again_is_the_same_job_and_the_same_answer() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("again").await;
    let first = post(&caller, JOBS, "k", &order("x")).await.expect(202);
    assert!(!is_replayed(&first));
    for _ in 0..3 {
        let again = post(&caller, JOBS, "k", &order("x")).await.expect(202);
        assert!(is_replayed(&again));
        assert_eq!(again.json, first.json);
        for header in ["location", "retry-after", "content-type", "cache-control"] {
            assert_eq!(again.header(header), first.header(header), "{header}");
        }
    }
    assert_eq!(
        stack
            .count("SELECT count(*) FROM jobs WHERE kind = 'probe'")
            .await,
        1
    );
    let other = post(&caller, JOBS, "k2", &order("x")).await.expect(202);
    assert_ne!(other.json["id"], first.json["id"]);
    let none = caller.post(JOBS, &order("x")).await.expect(202);
    assert!(!is_replayed(&none));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_stays_as_it_was_when_the_job_has_moved_on() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("moved").await;
    let first = post(&caller, JOBS, "k", &order("x")).await.expect(202);
    stack.ended(&caller, &first.text_of("id")).await;
    let again = post(&caller, JOBS, "k", &order("x")).await.expect(202);
    assert_eq!(again.json, first.json);
    assert_eq!(again.json["status"], "queued");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_with_another_order_is_refused() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("other").await;
    post(&caller, JOBS, "k", &order("x")).await.expect(202);
    let rows = stack.count("SELECT count(*) FROM jobs").await;
    for body in [
        order("y"),
        json!({ "kind": "probe", "payload": { "echo": "x" }, "priority": 5 }),
    ] {
        let refused = post(&caller, JOBS, "k", &body).await;
        refused.problem(422, "idempotency.mismatch");
    }
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, rows);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_orders_at_the_same_time_make_one_job() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("race").await;
    for round in 0..5 {
        let key = format!("round-{round}");
        let body = order("x");
        let racers = (0..12).map(|_| post(&caller, JOBS, &key, &body));
        let answers = futures::future::join_all(racers).await;
        let ids: BTreeSet<String> = answers
            .iter()
            .map(|answer| answer.clone().expect(202).text_of("id"))
            .collect();
        assert_eq!(ids.len(), 1, "{ids:?}");
        assert_eq!(
            answers.iter().filter(|answer| !is_replayed(answer)).count(),
            1
        );
        for answer in &answers {
            assert_eq!(answer.json, answers[0].json);
        }
    }
    assert_eq!(
        stack
            .count("SELECT count(*) FROM jobs WHERE kind = 'probe'")
            .await,
        5
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn different_orders_with_one_key_at_the_same_time_make_one_job() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("clash").await;
    let bodies: Vec<Value> = (0..8).map(|n| order(&n.to_string())).collect();
    let racers = bodies.iter().map(|body| post(&caller, JOBS, "k", body));
    let answers = futures::future::join_all(racers).await;
    let taken = answers.iter().filter(|answer| answer.status == 202).count();
    assert_eq!(taken, 1);
    for answer in answers.into_iter().filter(|answer| answer.status != 202) {
        answer.problem(422, "idempotency.mismatch");
    }
    assert_eq!(
        stack
            .count("SELECT count(*) FROM jobs WHERE kind = 'probe'")
            .await,
        1
    );
    stack.stop().await;
}

const SECRETS: [&str; 2] = ["api_key", "admin_password"];

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_secrets_are_told_once_and_never_kept() {
    let stack = Stack::still().await;
    let body = json!({ "id": "secret", "name": "Secret", "plan": "pro" });
    let first = post(&stack.admin, TENANTS, "k", &body).await.expect(201);
    let again = post(&stack.admin, TENANTS, "k", &body).await.expect(201);
    assert!(!is_replayed(&first) && is_replayed(&again));
    assert_eq!(again.header("location"), first.header("location"));
    for (field, value) in first.json.as_object().unwrap() {
        if SECRETS.contains(&field.as_str()) {
            assert!(again.json[field].is_null(), "{field}");
            assert!(!again.text.contains(value.as_str().unwrap()), "{field}");
        } else {
            assert_eq!(&again.json[field], value, "{field}");
        }
    }
    let kept: Vec<String> = sqlx::query_scalar(
        "SELECT row_to_json(k)::text FROM idempotency_keys AS k
         UNION ALL SELECT row_to_json(a)::text FROM api_keys AS a
         UNION ALL SELECT row_to_json(u)::text FROM users AS u
         UNION ALL SELECT row_to_json(t)::text FROM tenants AS t
         UNION ALL SELECT row_to_json(j)::text FROM jobs AS j",
    )
    .fetch_all(&mut stack.owner().await)
    .await
    .unwrap();
    assert!(kept.iter().any(|row| row.contains("secret")));
    for secret in SECRETS.map(|field| first.text_of(field)) {
        assert!(
            !kept.iter().any(|row| row.contains(&secret)),
            "a secret is kept in clear"
        );
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_tenants_at_the_same_time_are_made_once() {
    let stack = Stack::still().await;
    let body = json!({ "id": "twin", "name": "Twin" });
    let racers = (0..6).map(|_| post(&stack.admin, TENANTS, "k", &body));
    let answers = futures::future::join_all(racers).await;
    for answer in &answers {
        answer.clone().expect(201);
    }
    let with_secret = answers
        .iter()
        .filter(|answer| answer.json["api_key"].is_string())
        .count();
    assert_eq!(with_secret, 1, "one of them gets the key");
    assert_eq!(
        answers.iter().filter(|answer| is_replayed(answer)).count(),
        5
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM tenants WHERE id <> 'platform'")
            .await,
        1
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM api_keys WHERE tenant_id = 'twin'")
            .await,
        1
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_forgotten_after_a_day_and_not_before() {
    let start = DateTime::parse_from_rfc3339("2026-11-23T10:05:00Z")
        .unwrap()
        .to_utc();
    let clock = Clock::manual(start);
    let stack = Stack::still_at(&clock).await;
    let caller = stack.create_tenant("day").await;
    let first = post(&caller, JOBS, "k", &order("x")).await.expect(202);
    clock.advance(TimeDelta::hours(23));
    stack.tick().await;
    let within = post(&caller, JOBS, "k", &order("x")).await.expect(202);
    assert_eq!(within.json, first.json);
    clock.advance(TimeDelta::hours(2));
    stack.tick().await;
    let after = post(&caller, JOBS, "k", &order("y")).await.expect(202);
    assert!(!is_replayed(&after));
    assert_ne!(after.json["id"], first.json["id"]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_is_answered_although_by_now_the_order_would_be_refused() {
    let start = DateTime::parse_from_rfc3339("2026-11-23T10:05:00Z")
        .unwrap()
        .to_utc();
    let clock = Clock::manual(start);
    let stack = Stack::still_at(&clock).await;
    let caller = stack.create_tenant("late").await;
    let mut ends = order("x");
    ends["expires_at"] = json!(clock.now() + TimeDelta::seconds(30));
    let batch = json!({ "jobs": [ends, ends] });
    let (jobs, batches) = (JOBS, "/api/v1/jobs:batch");
    let first = post(&caller, jobs, "job", &ends).await.expect(202);
    let first_batch = post(&caller, batches, "batch", &batch).await.expect(202);
    let cancelled = stack.probe(&caller, json!({})).await;
    let cancel = format!("{JOBS}/{cancelled}/cancel");
    caller.post(&cancel, &json!({})).await.expect(202);
    let retry = format!("{JOBS}/{cancelled}/retry");
    let first_retry = post(&caller, &retry, "retry", &json!({})).await.expect(202);
    let same = async || {
        for (path, key, body, first) in [
            (jobs, "job", &ends, &first),
            (batches, "batch", &batch, &first_batch),
            (retry.as_str(), "retry", &json!({}), &first_retry),
        ] {
            let again = post(&caller, path, key, body).await.expect(202);
            assert!(is_replayed(&again), "{path}");
            assert_eq!(again.json, first.json, "{path}");
        }
    };
    // The tenant's cap is full.
    let limits = json!({ "max_concurrent": 1, "max_waiting": 0 });
    let path = "/api/v1/tenants/late/job-limits";
    stack.admin.put(path, &limits).await.expect(200);
    post(&caller, jobs, "new", &ends)
        .await
        .problem(429, "quota_exceeded");
    same().await;
    // Nothing is taken in.
    stack.drain(json!({ "tenant": "late" })).await;
    same().await;
    // The time until which it made sense is over.
    clock.advance(TimeDelta::seconds(31));
    let refused = post(&caller, jobs, "new", &ends).await;
    refused.problem(422, "validation.failed");
    same().await;
    // Another order under the same key is told so, whatever else is wrong with it.
    let mut other = ends.clone();
    other["priority"] = json!(10);
    let refused = post(&caller, jobs, "job", &other).await;
    refused.problem(422, "idempotency.mismatch");
    stack.stop().await;
}

/// They are written together, each under its own key.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_orders_at_once_each_key_makes_one_job_and_no_other_waits_for_it() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("many").await;
    let bodies: Vec<(String, Value)> = (0..90)
        .map(|n| (format!("k{}", n % 30), order(&format!("{}", n % 30))))
        .collect();
    let sent = bodies
        .iter()
        .map(|(key, body)| post(&caller, JOBS, key, body));
    let without_key = json!({ "kind": "probe", "payload": {} });
    let plain = (0..30).map(|_| caller.post(JOBS, &without_key));
    let (answers, others) = tokio::join!(
        futures::future::join_all(sent),
        futures::future::join_all(plain)
    );
    let mut ids: Vec<BTreeSet<String>> = vec![BTreeSet::new(); 30];
    let mut replayed = 0;
    for (n, answer) in answers.into_iter().enumerate() {
        let answer = answer.expect(202);
        replayed += usize::from(is_replayed(&answer));
        ids[n % 30].insert(answer.text_of("id"));
    }
    assert_eq!(replayed, 60);
    assert!(ids.iter().all(|ids| ids.len() == 1), "{ids:?}");
    for other in others {
        assert!(!is_replayed(&other.expect(202)));
    }
    let jobs = "SELECT count(*) FROM jobs WHERE kind = 'probe'";
    assert_eq!(stack.count(jobs).await, 60);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_was_not_taken_in_leaves_its_key_free() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("free").await;
    let drain = stack.drain(json!({ "kind": "probe" })).await;
    let batch = json!({ "jobs": [order("x"), order("y")] });
    for (path, key, body) in [
        (JOBS, "k", &order("x")),
        ("/api/v1/jobs:batch", "b", &batch),
    ] {
        post(&caller, path, key, body)
            .await
            .problem(409, "switch.draining");
    }
    let kept = "SELECT count(*) FROM idempotency_keys WHERE tenant_id = 'free'";
    assert_eq!(stack.count(kept).await, 0);
    stack.admin.delete(&drain).await.expect(204);
    for (path, key, body) in [
        (JOBS, "k", &order("x")),
        ("/api/v1/jobs:batch", "b", &batch),
    ] {
        let taken = post(&caller, path, key, body).await.expect(202);
        let again = post(&caller, path, key, body).await.expect(202);
        assert!(!is_replayed(&taken) && is_replayed(&again));
        assert_eq!(again.json, taken.json);
    }
    assert_eq!(stack.count(kept).await, 2);
    stack.stop().await;
}
