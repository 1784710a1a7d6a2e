//! What the numbers promise: the same in every channel, none missed, none twice, and a word when
//! that cannot be kept.

use reqwest::Method;
use serde_json::{Value, json};
use unity_shared::events::{Retention, trim_events};

use super::{ALL, ids, list, open, path_of, write_events};
use crate::harness::{Caller, Message, Stack};

fn data(messages: &[Message]) -> Vec<Value> {
    messages
        .iter()
        .map(|message| message.data.clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_lists_and_the_record_agree_on_every_event_and_its_number() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("agree").await;
    let mut live = open(&caller, ALL, Some(0)).await;
    let mut jobs = Vec::new();
    for _ in 0..10 {
        let payload = json!({ "fail_attempts": 1, "progress_steps": 2, "sleep_ms": 20 });
        jobs.push(stack.probe(&caller, payload).await);
    }
    jobs.push(stack.probe(&caller, json!({ "fatal": true })).await);
    for job in &jobs {
        stack.ended(&caller, job).await;
    }
    let listed = list(&caller, ALL).await;
    let streamed = live.take(listed.len()).await;
    assert_eq!(data(&streamed), listed);
    let numbers: Vec<i64> = (1..).take(listed.len()).collect();
    assert_eq!(ids(&streamed), numbers);
    for message in &streamed {
        assert_eq!(message.data["id"], message.id);
        assert_eq!(message.data["type"], *message.event);
        assert_eq!(message.data["tenant_id"], "agree");
    }
    let rows: Vec<(i64, String, uuid::Uuid, Value)> =
        sqlx::query_as("SELECT sequence, type, job_id, data FROM events ORDER BY sequence")
            .fetch_all(&mut stack.owner().await)
            .await
            .unwrap();
    let shown: Vec<_> = streamed
        .iter()
        .map(|message| {
            let job = message.data["job_id"].as_str().unwrap().parse().unwrap();
            (
                message.id,
                message.event.clone(),
                job,
                message.data["data"].clone(),
            )
        })
        .collect();
    assert_eq!(shown, rows);
    for job in &jobs {
        let of_job: Vec<Value> = listed
            .iter()
            .filter(|event| event["job_id"] == **job)
            .cloned()
            .collect();
        assert_eq!(list(&caller, &path_of(job)).await, of_job);
        assert_eq!(
            data(&open(&caller, &path_of(job), None).await.rest().await),
            of_job
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_is_cut_off_again_and_again_misses_and_repeats_nothing() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("resume").await;
    let reader = {
        let caller = caller.clone();
        tokio::spawn(async move {
            let (mut seen, mut succeeded, mut piece) = (Vec::new(), 0, 1);
            while succeeded < 200 {
                let last = seen.last().copied().or(Some(0));
                let mut stream = open(&caller, ALL, last).await;
                // A different length each time, so that it is cut between and within reads.
                piece = (piece * 5 + 3) % 23 + 1;
                for _ in 0..piece {
                    if succeeded == 200 {
                        break;
                    }
                    let message = stream.next().await.unwrap();
                    let kind = message.data["data"]["kind"].as_str().unwrap();
                    let ended = message.event == "job.succeeded" && kind == "probe";
                    succeeded += usize::from(ended);
                    seen.push(message.id);
                }
            }
            seen
        })
    };
    let mut orders = Vec::new();
    for _ in 0..8 {
        let (stack, caller) = (&stack, &caller);
        orders.push(async move {
            for n in 0..25 {
                stack.probe(caller, json!({ "sleep_ms": n % 7 })).await;
            }
        });
    }
    futures::future::join_all(orders).await;
    let seen = reader.await.unwrap();
    let expected: Vec<i64> = (1..).take(seen.len()).collect();
    assert_eq!(seen, expected);
    stack.finish().await;
}

/// A tenant with events 1 to 20 of one job, of which the last five are kept.
async fn trimmed(stack: &Stack, tenant: &str) -> (Caller, String) {
    let caller = stack.create_tenant(tenant).await;
    let job = stack.probe(&caller, json!({})).await;
    write_events(stack, tenant, &job, 20).await;
    let keep = Retention {
        since: stack.clock.now() - chrono::TimeDelta::days(1),
        most: 5,
    };
    let mut tx = stack.database.engine().statement().await.unwrap();
    let gone = trim_events(&mut tx, keep, None).await.unwrap();
    assert_eq!(gone.events, 15);
    assert_eq!(trim_events(&mut tx, keep, None).await.unwrap().events, 0);
    (caller, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_whose_events_are_gone_is_told_and_goes_on_with_the_oldest() {
    let stack = Stack::still().await;
    let (caller, job) = trimmed(&stack, "trimmed").await;
    let bounds = json!({ "oldest_id": 16, "latest_id": 20 });
    for path in [ALL.to_owned(), path_of(&job)] {
        // Too old, the last that is too old, and not given yet.
        for last in [0, 14, 21, i64::MAX] {
            let messages = open(&caller, &path, Some(last)).await.take(6).await;
            assert_eq!(messages[0].event, "reset");
            assert_eq!(messages[0].data, bounds);
            assert_eq!(ids(&messages), [15, 16, 17, 18, 19, 20], "{path} {last}");
            let list = caller.get(&format!("{path}?since={last}&limit=2")).await;
            let list = list.expect(200).json;
            assert_eq!(list["reset"], bounds);
            assert_eq!(list["items"][0]["id"], 16);
            assert_eq!(list["last_id"], 17);
        }
        let messages = open(&caller, &path, Some(15)).await.take(5).await;
        assert_eq!(ids(&messages), [16, 17, 18, 19, 20]);
        let list = caller
            .get(&format!("{path}?since=15"))
            .await
            .expect(200)
            .json;
        assert!(list["reset"].is_null());
    }
    // Who has no number has missed nothing.
    let mut from_the_first = open(&caller, &path_of(&job), None).await;
    assert_eq!(ids(&from_the_first.take(5).await), [16, 17, 18, 19, 20]);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_forgotten_after_seven_days_and_their_numbers_are_not_given_again() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("old").await;
    let job = stack.probe(&caller, json!({})).await;
    // More than one slice of a trimming call, and the youngest of them just young enough.
    write_events(&stack, "old", &job, 1200).await;
    let age = "UPDATE events SET created_at = now() - interval '7 days'
                   + CASE WHEN sequence > 1190 THEN interval '1 hour' ELSE interval '-1 second' END";
    sqlx::query(age)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    stack.tick().await;
    let left = list_from(&caller, 1190).await;
    assert_eq!(left["items"].as_array().unwrap().len(), 10);
    assert!(left["reset"].is_null());
    assert_eq!(list_from(&caller, 1189).await["reset"]["oldest_id"], 1191);
    sqlx::query("UPDATE events SET created_at = now() - interval '8 days'")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    stack.tick().await;
    let none = list_from(&caller, 0).await;
    assert_eq!(
        none["reset"],
        json!({ "oldest_id": 1201, "latest_id": 1200 })
    );
    assert_eq!(
        (&none["items"], &none["last_id"]),
        (&json!([]), &json!(1200))
    );
    write_events(&stack, "old", &job, 1).await;
    assert_eq!(list_from(&caller, 1200).await["items"][0]["id"], 1201);
    stack.stop().await;
}

async fn list_from(caller: &Caller, since: i64) -> Value {
    let path = format!("{ALL}?since={since}");
    caller.get(&path).await.expect(200).json
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_number_a_tenants_reader_begins_with_what_happens_next() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("next").await;
    let job = stack.probe(&caller, json!({})).await;
    write_events(&stack, "next", &job, 3).await;
    let list = caller.get(ALL).await.expect(200).json;
    assert_eq!(list, json!({ "items": [], "last_id": 3, "reset": null }));
    let mut stream = open(&caller, ALL, None).await;
    write_events(&stack, "next", &job, 1).await;
    assert_eq!(stream.next().await.unwrap().id, 4);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_number_is_refused_before_the_stream_begins() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("garbage").await;
    let job = stack.probe(&caller, json!({})).await;
    for path in [ALL.to_owned(), path_of(&job)] {
        for accept in ["text/event-stream", "application/json", "*/*"] {
            for bad in ["x", "-1", "1.5", "9223372036854775808"] {
                let headers = [("accept", accept), ("last-event-id", bad)];
                let answer = caller.send(Method::GET, &path, &headers, None).await;
                answer.problem(400, "header.invalid");
                for name in ["since", "last_event_id"] {
                    let path = format!("{path}?{name}={bad}");
                    let answer = caller.send(Method::GET, &path, &headers[..1], None).await;
                    answer.problem(400, "query.invalid");
                }
            }
        }
        let both = format!("{path}?since=1&last_event_id=1");
        caller.get(&both).await.problem(400, "query.invalid");
        let stream = [("accept", "text/event-stream")];
        let limited = format!("{path}?limit=1");
        let answer = caller.send(Method::GET, &limited, &stream, None).await;
        answer.problem(400, "query.invalid");
    }
    let unknown = path_of(&uuid::Uuid::now_v7().to_string());
    let stream = [("accept", "text/event-stream")];
    let answer = caller.send(Method::GET, &unknown, &stream, None).await;
    answer.problem(404, "not_found");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_is_streamed_whole_and_in_order() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("long").await;
    let job = stack.probe(&caller, json!({})).await;
    write_events(&stack, "long", &job, 5000).await;
    let mut stream = open(&caller, "/api/v1/events?last_event_id=0", None).await;
    let messages = stream.take(5000).await;
    let expected: Vec<i64> = (1..=5000).collect();
    assert_eq!(ids(&messages), expected);
    stack.stop().await;
}
