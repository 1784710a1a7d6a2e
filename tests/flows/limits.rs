//! Limits of tenants, changed over the API while everything runs.

use serde_json::{Value, json};

use super::gate::most_at_once;
use crate::harness::{Stack, StackOptions, eventually};

async fn set(stack: &Stack, tenant: &str, order: Value) -> Value {
    let path = format!("/api/v1/tenants/{tenant}/job-limits");
    let set = stack.admin.put(&path, &order).await.expect(200).json;
    let shown = stack.admin.get(&path).await.expect(200).json;
    for field in ["max_concurrent", "per_kind", "weight", "max_waiting"] {
        assert_eq!(set[field], shown[field], "{field}");
    }
    set
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_stated_is_the_plans_and_the_tenant_can_see_it() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("shown").await;
    let own = caller
        .get("/api/v1/tenants/shown/job-limits")
        .await
        .expect(200)
        .json;
    assert_eq!(
        (&own["max_concurrent"], &own["weight"]),
        (&json!(20), &json!(2))
    );
    let order =
        json!({ "max_concurrent": 7, "weight": 3, "per_kind": { "probe": 2 }, "max_waiting": 9 });
    let set_limits = set(&stack, "shown", order).await;
    assert_eq!(set_limits["per_kind"], json!({ "probe": 2 }));
    assert!(set_limits["counts"]["running"].is_number(), "{set_limits}");
    // Replaced as a whole.
    let less = set(&stack, "shown", json!({ "max_concurrent": 8 })).await;
    assert_eq!(
        (&less["weight"], &less["per_kind"]),
        (&json!(2), &json!({}))
    );
    let path = "/api/v1/tenants/nobody/job-limits";
    stack
        .admin
        .put(path, &json!({ "max_concurrent": 1 }))
        .await
        .problem(404, "not_found");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_limit_ends_nothing_and_holds() {
    let stack = Stack::start_with(StackOptions {
        workers: 2,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("lowered").await;
    set(&stack, "lowered", json!({ "max_concurrent": 6 })).await;
    let mut ids = Vec::new();
    for _ in 0..6 {
        ids.push(stack.probe(&caller, json!({ "sleep_ms": 1500 })).await);
    }
    for id in &ids {
        stack.reaches(&caller, id, "running").await;
    }
    set(&stack, "lowered", json!({ "max_concurrent": 2 })).await;
    let mut later = Vec::new();
    for _ in 0..8 {
        later.push(stack.probe(&caller, json!({ "sleep_ms": 30 })).await);
    }
    for id in ids.iter().chain(&later) {
        let job = stack.ended(&caller, id).await;
        assert_eq!(
            (&job["status"], &job["attempt"]),
            (&json!("succeeded"), &json!(1))
        );
    }
    let most: i64 = sqlx::query_scalar(
        "WITH edges AS (SELECT attempt_started_at AS at, 1 AS step FROM jobs WHERE id = ANY($1)
                        UNION ALL SELECT finished_at, -1 FROM jobs WHERE id = ANY($1))
         SELECT max(running) FROM (SELECT sum(step) OVER (ORDER BY at, step) AS running FROM edges) AS r",
    )
    .bind(later.iter().map(|id| id.parse().unwrap()).collect::<Vec<uuid::Uuid>>())
    .fetch_one(&mut stack.owner().await)
    .await
    .unwrap();
    assert!(most <= 2, "{most} at once");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kinds_limit_holds_while_another_kind_runs() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("kinds").await;
    set(
        &stack,
        "kinds",
        json!({ "max_concurrent": 10, "per_kind": { "probe": 1 } }),
    )
    .await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.push(stack.probe(&caller, json!({ "sleep_ms": 100 })).await);
    }
    let provision = json!({ "kind": "provision_namespace", "payload": {} });
    let other = caller
        .post("/api/v1/jobs", &provision)
        .await
        .expect(202)
        .text_of("id");
    assert_eq!(stack.ended(&caller, &other).await["status"], "succeeded");
    for id in &ids {
        stack.ended(&caller, id).await;
    }
    assert_eq!(most_at_once(&stack, "kinds").await, 1);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_jobs_wait_than_may() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("capped").await;
    // One waits already: it provisions the namespace.
    set(
        &stack,
        "capped",
        json!({ "max_concurrent": 1, "max_waiting": 3 }),
    )
    .await;
    let first = stack.probe(&caller, json!({})).await;
    stack.probe(&caller, json!({})).await;
    let order = json!({ "kind": "probe", "payload": {} });
    let refused = caller
        .post("/api/v1/jobs", &order)
        .await
        .problem(429, "quota_exceeded");
    assert_eq!(refused.header("retry-after"), "");
    let quota = &refused.json["quota"];
    assert_eq!(
        (&quota["name"], &quota["limit"]),
        (&json!("waiting_jobs"), &json!(3))
    );
    let batch = json!({ "jobs": [order] });
    caller
        .post("/api/v1/jobs:batch", &batch)
        .await
        .problem(429, "quota_exceeded");
    caller
        .post(&format!("/api/v1/jobs/{first}/cancel"), &json!({}))
        .await
        .expect(202);
    eventually("there is room again", || async {
        let answer = caller.post("/api/v1/jobs", &order).await;
        (answer.status == 202).then_some(())
    })
    .await;
    set(
        &stack,
        "capped",
        json!({ "max_concurrent": 1, "max_waiting": 4 }),
    )
    .await;
    caller.post("/api/v1/jobs", &order).await.expect(202);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_go_as_high_as_the_plan_and_a_kinds_may_be_above_the_tenants() {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    for (plan, most, weight, waiting) in [
        ("free", 500, 100, 1_000_000),
        ("pro", 2_000, 500, 10_000_000),
        ("enterprise", 10_000, 1_000, 100_000_000),
    ] {
        let tenant = format!("on-{plan}");
        let body = json!({ "id": tenant, "name": plan, "plan": plan });
        stack.admin.post("/api/v1/tenants", &body).await.expect(201);
        let highest = json!({
            "max_concurrent": most, "weight": weight, "max_waiting": waiting,
            "per_kind": { "probe": most },
        });
        set(&stack, &tenant, highest).await;
        let above = json!({ "max_concurrent": 1, "per_kind": { "probe": most } });
        set(&stack, &tenant, above).await;
        let path = format!("/api/v1/tenants/{tenant}/job-limits");
        let before = stack.admin.get(&path).await.expect(200).json;
        if most < 10_000 {
            let order = json!({ "max_concurrent": most + 1 });
            let refused = stack.admin.put(&path, &order).await;
            let refused = refused.problem(422, "validation.failed").json;
            assert_eq!(refused["errors"][0]["pointer"], "/max_concurrent");
            assert_eq!(refused["errors"][0]["code"], "plan");
        }
        assert_eq!(stack.admin.get(&path).await.expect(200).json, before);
    }
    stack.stop().await;
}
