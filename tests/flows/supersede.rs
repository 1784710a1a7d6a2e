//! Jobs that take the place of older ones: `provision_namespace` is such a kind.

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use unity_shared::{clock::Clock, ids::JobId};

use crate::harness::{Caller, Stack};

fn start() -> DateTime<Utc> {
    "2026-11-23T10:05:00Z".parse().unwrap()
}

fn provision() -> Value {
    json!({ "kind": "provision_namespace", "payload": {} })
}

async fn statuses(caller: &Caller) -> Vec<String> {
    let jobs = caller.get("/api/v1/jobs?limit=200").await.expect(200).json;
    let jobs = jobs["items"].as_array().unwrap().iter();
    jobs.map(|job| job["status"].as_str().unwrap().to_owned())
        .collect()
}

fn count(statuses: &[String], status: &str) -> usize {
    statuses.iter().filter(|found| *found == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_at_once_the_newest_alone_is_left() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("rush").await;
    let order = provision();
    let batch = json!({ "jobs": [order, order, order] });
    let asked = (0..24).map(|n| {
        let (caller, order, batch) = (caller.clone(), order.clone(), batch.clone());
        async move {
            match n % 3 {
                0 => caller.post("/api/v1/jobs:batch", &batch).await,
                _ => caller.post("/api/v1/jobs", &order).await,
            }
        }
    });
    for answer in futures::future::join_all(asked).await {
        answer.expect(202);
    }
    let statuses = statuses(&caller).await;
    assert_eq!(count(&statuses, "queued"), 1, "{statuses:?}");
    assert_eq!(count(&statuses, "superseded"), statuses.len() - 1);
    assert_eq!(statuses[0], "queued", "the newest: {statuses:?}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_superseded_within_its_batch_says_so_and_is_not_offered() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("batch").await;
    let order = provision();
    let batch = json!({ "jobs": [order, { "kind": "probe", "payload": {} }, order] });
    let taken = caller
        .post("/api/v1/jobs:batch", &batch)
        .await
        .expect(202)
        .json;
    let items = taken["items"].as_array().unwrap();
    let found: Vec<&str> = items
        .iter()
        .map(|i| i["status"].as_str().unwrap())
        .collect();
    assert_eq!(found, ["superseded", "queued", "queued"]);
    let ids = items
        .iter()
        .map(|i| i["id"].as_str().unwrap().parse().unwrap());
    let unknown = stack.unknown_to_gate(&ids.collect::<Vec<_>>()).await;
    let unknown: BTreeSet<String> = unknown.iter().map(ToString::to_string).collect();
    let first = items[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(unknown, BTreeSet::from([first.clone()]));
    assert_eq!(stack.ended(&caller, &first).await["status"], "superseded");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_becomes_due_takes_the_place_of_older_ones() {
    let clock = Clock::manual(start());
    let stack = Stack::still_at(&clock).await;
    let caller = stack.create_tenant("due").await;
    let mut later = provision();
    later["delay_seconds"] = json!(60);
    let first = caller.post("/api/v1/jobs", &later).await.expect(202);
    later["delay_seconds"] = json!(90);
    let second = caller.post("/api/v1/jobs", &later).await.expect(202);
    let born = caller.get("/api/v1/jobs").await.expect(200).json["items"][2]["id"].clone();
    let born = born.as_str().unwrap();
    stack.reaches(&caller, born, "queued").await;
    clock.advance(TimeDelta::seconds(61));
    stack.tick().await;
    stack.reaches(&caller, born, "superseded").await;
    let first = first.text_of("id");
    stack.reaches(&caller, &first, "queued").await;
    clock.advance(TimeDelta::seconds(30));
    stack.tick().await;
    stack.reaches(&caller, &first, "superseded").await;
    let second = second.text_of("id");
    stack.reaches(&caller, &second, "queued").await;
    let ids: Vec<_> = [born, first.as_str(), second.as_str()]
        .map(|id| id.parse().unwrap())
        .into();
    let unknown = stack.unknown_to_gate(&ids).await;
    assert!(!unknown.contains(&ids[2]) && unknown.contains(&ids[1]) && unknown.contains(&ids[0]));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_follows_a_job_hears_at_once_that_it_was_superseded_or_has_expired() {
    use unity_shared::queue::{Told, Wake};
    let clock = Clock::manual(start());
    let stack = Stack::still_at(&clock).await;
    let caller = stack.create_tenant("heard").await;
    let listener = stack.gate.listen_for_news();
    let mut news = listener.subscribe();
    let born = caller.get("/api/v1/jobs").await.expect(200).json["items"][0]["id"].clone();
    let soon = json!({ "kind": "probe", "payload": {}, "expires_at": clock.now() + TimeDelta::seconds(5) });
    let late = caller.post("/api/v1/jobs", &soon).await.expect(202);
    // Whether it hears: what was said before it listened is lost.
    let heard = |news: &mut tokio::sync::broadcast::Receiver<Wake>| news.try_recv().is_ok();
    while !heard(&mut news) {
        let other = ("heard".parse().unwrap(), JobId::new());
        stack.gate.tell(&[other]).await.unwrap();
        tokio::task::yield_now().await;
    }
    caller.post("/api/v1/jobs", &provision()).await.expect(202);
    clock.advance(TimeDelta::seconds(6));
    stack.tick().await;
    let mut awaited = BTreeSet::from([born.as_str().unwrap().to_owned(), late.text_of("id")]);
    while !awaited.is_empty() {
        let message = tokio::time::timeout(std::time::Duration::from_secs(10), news.recv());
        if let Wake::Message(text) = message.await.unwrap().unwrap() {
            for told in Told::read_all(&text) {
                assert_eq!(told.tenant, "heard".parse().unwrap());
                awaited.remove(&told.job.to_string());
            }
        }
    }
    stack.stop().await;
}
