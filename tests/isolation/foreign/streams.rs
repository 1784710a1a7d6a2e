//! The stream of one tenant carries nothing of another.

use serde_json::json;

use super::NEAR_NAMES;
use crate::harness::{EventStream, Stack};

const CANARY: &str = "canary-77b0d1";

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_and_a_list_carry_their_own_tenants_events_and_no_other() {
    let stack = Stack::start().await;
    let mut tenants = Vec::new();
    for name in NEAR_NAMES {
        let caller = stack.create_tenant(name).await;
        let stream = EventStream::open(&caller, "/api/v1/events", Some(0)).await;
        tenants.push((name, caller, stream));
    }
    let mut expected = Vec::new();
    for (_, caller, _) in &tenants {
        let payload = json!({ "fail_attempts": 1, "progress_steps": 1, "echo": CANARY });
        let order = json!({ "kind": "probe", "payload": payload, "labels": { CANARY: CANARY } });
        let mut jobs = Vec::new();
        for _ in 0..3 {
            jobs.push(
                caller
                    .post("/api/v1/jobs", &order)
                    .await
                    .expect(202)
                    .text_of("id"),
            );
        }
        expected.push(jobs);
    }
    for ((_, caller, _), jobs) in tenants.iter().zip(&expected) {
        for job in jobs {
            stack.ended(caller, job).await;
        }
    }
    for ((name, caller, stream), jobs) in tenants.iter_mut().zip(&expected) {
        let list = caller
            .get("/api/v1/events?since=0&limit=200")
            .await
            .expect(200);
        let items = list.json["items"].as_array().unwrap();
        let messages = stream.take(items.len()).await;
        for (index, message) in messages.iter().enumerate() {
            assert_eq!(message.data, items[index]);
            assert_eq!(message.data["tenant_id"], *name);
            assert_eq!(
                message.id,
                i64::try_from(index).unwrap() + 1,
                "numbers are each tenant's own"
            );
        }
        let ended: Vec<&str> = messages
            .iter()
            .filter(|message| message.event == "job.succeeded")
            .filter(|message| message.data["data"]["kind"] == "probe")
            .map(|message| message.data["job_id"].as_str().unwrap())
            .collect();
        assert_eq!(ended.len(), jobs.len(), "{name}");
        assert!(
            jobs.iter().all(|job| ended.contains(&job.as_str())),
            "{name}"
        );
        assert!(
            !list.text.contains(CANARY),
            "an event has nothing of the payload"
        );
    }
    let (_, alpha, _) = &tenants[0];
    for jobs in &expected[1..] {
        let path = format!("/api/v1/jobs/{}/events", jobs[0]);
        for accept in ["text/event-stream", "application/json"] {
            let headers = [("accept", accept)];
            let answer = alpha
                .send(reqwest::Method::GET, &path, &headers, None)
                .await;
            answer.problem(404, "not_found");
        }
    }
    drop(tenants);
    stack.finish().await;
}
