//! Dead letters: found by their index, tried again or cancelled, one or many.

use serde_json::{Value, json};

use crate::harness::{Caller, Stack};

async fn fail(stack: &Stack, caller: &Caller, label: &str) -> String {
    let order = json!({ "kind": "probe", "payload": { "fail_attempts": 1 }, "max_attempts": 1,
                        "labels": { "team": label } });
    let id = caller
        .post("/api/v1/jobs", &order)
        .await
        .expect(202)
        .text_of("id");
    assert_eq!(stack.ended(caller, &id).await["status"], "failed");
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_is_tried_again_as_the_same_job_with_one_more_attempt() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("dead").await;
    let id = fail(&stack, &caller, "a").await;
    let listed = caller
        .get("/api/v1/jobs?status=failed")
        .await
        .expect(200)
        .json;
    assert_eq!(listed["items"][0]["id"], *id);
    let retry = format!("/api/v1/jobs/{id}/retry");
    let key = [("idempotency-key", "again")];
    let first = caller.post_with(&retry, &json!({}), &key).await.expect(202);
    assert_eq!(first.header("location"), format!("/api/v1/jobs/{id}"));
    assert_eq!(
        (&first.json["status"], &first.json["max_attempts"]),
        (&json!("queued"), &json!(2))
    );
    let job = stack.ended(&caller, &id).await;
    assert_eq!(
        (&job["status"], &job["attempt"]),
        (&json!("succeeded"), &json!(2))
    );
    let again = caller.post_with(&retry, &json!({}), &key).await.expect(202);
    assert_eq!(again.json, first.json);
    assert_eq!(again.header("idempotency-replayed"), "true");
    // The same key for another job is another request.
    let other = fail(&stack, &caller, "b").await;
    let path = format!("/api/v1/jobs/{other}/retry");
    caller
        .post_with(&path, &json!({}), &key)
        .await
        .problem(422, "idempotency.mismatch");
    let refused = caller
        .post(&retry, &json!({}))
        .await
        .problem(409, "job.state");
    assert_eq!(refused.json["job_status"], "succeeded");
    let attempts = caller
        .get(&format!("/api/v1/jobs/{id}/attempts"))
        .await
        .expect(200)
        .json;
    let outcomes: Vec<&Value> = attempts["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|a| &a["outcome"])
        .collect();
    assert_eq!(outcomes, ["failed", "succeeded"]);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_tried_again_or_cancelled_by_a_filter_and_its_limit() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("many").await;
    let mut ids = Vec::new();
    for label in ["a", "a", "a", "b"] {
        ids.push(fail(&stack, &caller, label).await);
    }
    let retry = async |filter: Value, limit: Value| {
        let order = json!({ "filter": filter, "limit": limit });
        caller
            .post("/api/v1/jobs:retry", &order)
            .await
            .expect(202)
            .json
    };
    let of_a = json!({ "status": "failed", "label": { "team": "a" } });
    assert_eq!(
        retry(of_a.clone(), json!(2)).await,
        json!({ "count": 2, "more": true })
    );
    for id in &ids[..2] {
        assert_eq!(stack.ended(&caller, id).await["status"], "succeeded");
    }
    assert_eq!(
        retry(of_a, json!(null)).await,
        json!({ "count": 1, "more": false })
    );
    let by_id = json!({ "ids": [ids[3], uuid::Uuid::now_v7()] });
    assert_eq!(
        retry(by_id, json!(null)).await,
        json!({ "count": 1, "more": false })
    );
    for id in &ids {
        assert_eq!(stack.ended(&caller, id).await["status"], "succeeded");
    }
    let mut kept = Vec::new();
    for _ in 0..3 {
        let later = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
        kept.push(
            caller
                .post("/api/v1/jobs", &later)
                .await
                .expect(202)
                .text_of("id"),
        );
    }
    let order = json!({ "filter": { "status": "scheduled", "created_before": "2999-01-01T00:00:00Z" }, "limit": 2 });
    let done = caller
        .post("/api/v1/jobs:cancel", &order)
        .await
        .expect(202)
        .json;
    assert_eq!(done, json!({ "count": 2, "more": true }));
    let done = caller
        .post("/api/v1/jobs:cancel", &order)
        .await
        .expect(202)
        .json;
    assert_eq!(done, json!({ "count": 1, "more": false }));
    for id in &kept {
        assert_eq!(stack.ended(&caller, id).await["status"], "cancelled");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_one_status_is_read_from_its_index() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("pages").await;
    let mut owner = stack.owner().await;
    sqlx::raw_sql(
        "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts, timeout_seconds,
                           run_at, created_at, finished_at)
         SELECT 'pages', gen_random_uuid(), 'probe', 'default',
                CASE WHEN n % 1000 = 0 THEN 'failed' ELSE 'succeeded' END, 5, '{}', 1, 60, now(), now(), now()
         FROM generate_series(1, 20000) AS n;
         ANALYZE jobs",
    )
    .execute(&mut owner)
    .await
    .unwrap();
    let scans = "SELECT coalesce(sum(idx_scan), 0)::bigint FROM pg_stat_user_indexes
                 WHERE indexrelname IN ('jobs_failed_idx', 'jobs_waiting_idx')";
    let before = stack.count(scans).await;
    for status in ["failed", "queued", "scheduled", "retrying"] {
        // More often than the plan of a prepared statement is made for its very values.
        for _ in 0..8 {
            let page = caller
                .get(&format!("/api/v1/jobs?status={status}&limit=5"))
                .await
                .expect(200);
            let wanted = match status {
                "failed" => 5,
                "queued" => 1,
                _ => 0,
            };
            assert_eq!(
                page.json["items"].as_array().unwrap().len(),
                wanted,
                "{status}"
            );
        }
    }
    crate::harness::eventually("the statistics tell of 32 index scans", || async {
        (stack.count(scans).await >= before + 32).then_some(())
    })
    .await;
    stack.stop().await;
}
