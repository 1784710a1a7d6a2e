//! Jobs in batches, jobs that expire, jobs that take another's place.

use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use crate::harness::{Stack, StackOptions};

async fn no_workers() -> Stack {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    Stack::start_with(options).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_taken_as_a_whole_and_answers_in_its_order() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("batch").await;
    let jobs: Vec<Value> = (0..100)
        .map(
            |n| json!({ "kind": "probe", "payload": { "echo": n }, "delay_seconds": n % 2 * 3600 }),
        )
        .collect();
    let key = [("idempotency-key", "whole")];
    let order = json!({ "jobs": jobs });
    let taken = caller
        .post_with("/api/v1/jobs:batch", &order, &key)
        .await
        .expect(202);
    let again = caller
        .post_with("/api/v1/jobs:batch", &order, &key)
        .await
        .expect(202);
    assert_eq!(again.json, taken.json);
    assert_eq!(again.header("idempotency-replayed"), "true");
    let items = taken.json["items"].as_array().unwrap();
    assert_eq!(items.len(), 100);
    for (n, item) in items.iter().enumerate() {
        let id = item["id"].as_str().unwrap();
        let wanted = if n % 2 == 0 { "queued" } else { "scheduled" };
        assert_eq!(item["status"], wanted);
        if n % 2 == 0 {
            assert_eq!(stack.ended(&caller, id).await["result"]["echo"], n);
        }
    }
    let rest = json!({ "filter": { "status": "scheduled" } });
    caller.post("/api/v1/jobs:cancel", &rest).await.expect(202);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_job_refuses_the_whole_batch_and_is_named() {
    let stack = no_workers().await;
    let caller = stack.create_tenant("whole").await;
    let before = stack.count("SELECT count(*) FROM jobs").await;
    let good = json!({ "kind": "probe", "payload": {} });
    let mut jobs = vec![good; 5];
    jobs[3] = json!({ "kind": "probe", "payload": { "sleep_ms": -1 }, "priority": 10 });
    let refused = caller
        .post("/api/v1/jobs:batch", &json!({ "jobs": jobs }))
        .await;
    let refused = refused.problem(422, "validation.failed");
    let places: Vec<&Value> = refused.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| &e["pointer"])
        .collect();
    assert_eq!(places, ["/jobs/3/priority", "/jobs/3/payload/sleep_ms"]);
    jobs[3] = json!({ "kind": "dance", "payload": {} });
    let refused = caller
        .post("/api/v1/jobs:batch", &json!({ "jobs": jobs }))
        .await;
    assert!(
        refused
            .problem(422, "validation.failed")
            .text
            .contains("/jobs/3/kind")
    );
    for jobs in [
        vec![],
        vec![json!({ "kind": "probe", "payload": {} }); 1001],
    ] {
        let refused = caller
            .post("/api/v1/jobs:batch", &json!({ "jobs": jobs }))
            .await;
        assert_eq!(
            refused.problem(422, "validation.failed").json["errors"][0]["pointer"],
            "/jobs"
        );
    }
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, before);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_could_start_in_time_fails_as_expired() {
    let stack = no_workers().await;
    let caller = stack.create_tenant("late").await;
    let end = stack.clock.now() + chrono::TimeDelta::seconds(1);
    let order = json!({ "kind": "probe", "payload": {}, "expires_at": end });
    let id = caller
        .post("/api/v1/jobs", &order)
        .await
        .expect(202)
        .text_of("id");
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (&job["status"], &job["error"]["code"]),
        (&json!("failed"), &json!("expired"))
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_job_of_its_kind_takes_the_place_of_one_that_waits() {
    let stack = no_workers().await;
    let caller = stack.create_tenant("newer").await;
    let first = caller.get("/api/v1/jobs").await.expect(200).json["items"][0]["id"].clone();
    let order = json!({ "kind": "provision_namespace", "payload": {} });
    let second = caller
        .post("/api/v1/jobs", &order)
        .await
        .expect(202)
        .text_of("id");
    let first = first.as_str().unwrap();
    assert_eq!(stack.ended(&caller, first).await["status"], "superseded");
    let why = caller
        .get(&format!("/api/v1/jobs/{first}/why"))
        .await
        .expect(200)
        .json;
    assert_eq!(why["reasons"][0]["code"], "ended");
    let retry = caller
        .post(&format!("/api/v1/jobs/{first}/retry"), &json!({}))
        .await;
    assert_eq!(
        retry.problem(409, "job.state").json["job_status"],
        "superseded"
    );
    stack.reaches(&caller, &second, "queued").await;
    stack.stop().await;
}

/// Jobs of this kind are taken in no more.
async fn drain_provisioning(stack: &Stack) {
    stack.drain(json!({ "kind": "provision_namespace" })).await;
}

/// They may be written in one statement.
#[tokio::test(flavor = "multi_thread")]
async fn of_batches_that_arrive_together_each_is_taken_as_a_whole_or_not_at_all() {
    let stack = no_workers().await;
    let caller = stack.create_tenant("together").await;
    drain_provisioning(&stack).await;
    let before = stack.count("SELECT count(*) FROM jobs").await;
    let probe = json!({ "kind": "probe", "payload": {} });
    let later = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
    let provision = json!({ "kind": "provision_namespace", "payload": {} });
    let whole = json!({ "jobs": [probe, later, probe] });
    let torn = json!({ "jobs": [probe, provision, probe] });
    let sent = (0..40).map(|n| {
        caller.post(
            "/api/v1/jobs:batch",
            if n % 4 == 3 { &torn } else { &whole },
        )
    });
    let answers = futures::future::join_all(sent).await;
    for (n, answer) in answers.into_iter().enumerate() {
        if n % 4 == 3 {
            let refused = answer.problem(409, "switch.draining").json;
            assert_eq!(refused["errors"][0]["pointer"], "/jobs/1", "{refused}");
            continue;
        }
        let items = answer.expect(202).json["items"].clone();
        let statuses: Vec<&Value> = items
            .as_array()
            .unwrap()
            .iter()
            .map(|item| &item["status"])
            .collect();
        assert_eq!(statuses, ["queued", "scheduled", "queued"]);
        for item in items.as_array().unwrap() {
            let id = item["id"].as_str().unwrap();
            let job = caller
                .get(&format!("/api/v1/jobs/{id}"))
                .await
                .expect(200)
                .json;
            assert_eq!(job["status"], item["status"], "{job}");
        }
    }
    let written = stack.count("SELECT count(*) FROM jobs").await - before;
    assert_eq!(written, 30 * 3);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_the_caller_may_not_start_or_that_is_drained_is_named() {
    let stack = no_workers().await;
    let caller = stack.create_tenant("named").await;
    let member = stack.caller_with_role("named", Role::TenantMember).await;
    let probe = json!({ "kind": "probe", "payload": {} });
    let provision = json!({ "kind": "provision_namespace", "payload": {} });
    let bad = json!({ "kind": "probe", "payload": {}, "priority": 10 });
    let before = stack.count("SELECT count(*) FROM jobs").await;
    let named = |answer: crate::harness::Answer, status, code: &str| {
        let refused = answer.problem(status, code).json;
        let errors = refused["errors"].as_array().unwrap().clone();
        assert_eq!(errors.len(), 1, "{refused}");
        errors[0]["pointer"].as_str().unwrap().to_owned()
    };
    // What may not be started goes before what is wrong.
    let jobs = json!({ "jobs": [probe, bad, provision] });
    let answer = member.post("/api/v1/jobs:batch", &jobs).await;
    assert_eq!(named(answer, 403, "role.insufficient"), "/jobs/2");
    drain_provisioning(&stack).await;
    for (jobs, place) in [
        (vec![&probe, &provision], "/jobs/1"),
        (vec![&provision], "/jobs/0"),
    ] {
        let answer = caller
            .post("/api/v1/jobs:batch", &json!({ "jobs": jobs }))
            .await;
        assert!(answer.text.contains("the lake"), "{}", answer.text);
        assert_eq!(named(answer, 409, "switch.draining"), place);
    }
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, before);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_jobs_are_one_batch_and_all_of_them_run() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("thousand").await;
    let jobs: Vec<Value> = (0..1000)
        .map(|n| json!({ "kind": "probe", "payload": { "echo": n }, "labels": { "n": n.to_string() } }))
        .collect();
    let taken = caller
        .post("/api/v1/jobs:batch", &json!({ "jobs": jobs }))
        .await
        .expect(202)
        .json;
    let ids: std::collections::BTreeSet<&str> = taken["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["id"].as_str().unwrap())
        .collect();
    assert_eq!(ids.len(), 1000);
    crate::harness::eventually("all of them succeed", || async {
        let done = "SELECT count(DISTINCT result->>'echo') FROM jobs WHERE status = 'succeeded' AND kind = 'probe'";
        (stack.count(done).await == 1000).then_some(())
    })
    .await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_has_at_most_eight_mebibytes() {
    let stack = no_workers().await;
    let caller = stack.create_tenant("large").await;
    let batch = |payload_bytes: usize, jobs: usize| {
        let job = json!({ "kind": "probe", "payload": { "echo": "x".repeat(payload_bytes) } });
        json!({ "jobs": vec![job; jobs] })
    };
    // A full batch of eight kilobytes each, and as many of the largest payloads as there is room for.
    for (payload_bytes, jobs) in [(8_000, 1000), (65_000, 128)] {
        let answer = caller
            .post("/api/v1/jobs:batch", &batch(payload_bytes, jobs))
            .await;
        answer.expect(202);
    }
    caller
        .post("/api/v1/jobs:batch", &batch(65_000, 130))
        .await
        .problem(413, "body.too_large");
    stack.stop().await;
}
