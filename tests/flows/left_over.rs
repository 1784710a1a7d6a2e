//! What the scheduler puts right when a process died between the record and the gate.

use chrono::TimeDelta;
use serde_json::{Value, json};

use crate::harness::{Caller, Stack};

pub(super) async fn why(caller: &Caller, id: &str) -> Value {
    let path = format!("/api/v1/jobs/{id}/why");
    caller.get(&path).await.expect(200).json
}

pub(super) fn says(why: &Value, code: &str) -> bool {
    let mut reasons = why["reasons"].as_array().unwrap().iter();
    reasons.any(|reason| reason["code"] == code)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_switch_that_the_gate_was_not_told_are_brought_to_it() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("untold").await;
    let id = stack.probe(&caller, json!({})).await;
    for (change, code) in [
        (
            "UPDATE tenants SET max_concurrent = 0 WHERE id = 'untold'",
            "tenant_limit",
        ),
        (
            "INSERT INTO switches (id, tenant_id, action, reason, created_at, expires_at)
             VALUES (gen_random_uuid(), 'untold', 'pause', 'r', now(), now() + interval '1 hour')",
            "paused",
        ),
    ] {
        assert!(!says(&why(&caller, &id).await, code), "{code}");
        sqlx::query(change)
            .execute(&mut stack.owner().await)
            .await
            .unwrap();
        stack.tick().await;
        let now = why(&caller, &id).await;
        assert!(says(&now, code), "{code}: {now}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_ended_and_is_left_in_the_gate_is_taken_out() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("stale").await;
    let id = stack.probe(&caller, json!({})).await;
    let ids = [id.parse().unwrap()];
    assert_eq!(stack.unknown_to_gate(&ids).await, []);
    sqlx::query("UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE kind = 'probe'")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    // It looks at a part of what the gate knows in each tick.
    for _ in 0..5 {
        stack.tick().await;
    }
    assert_eq!(stack.unknown_to_gate(&ids).await, ids);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_expires_while_it_waits_leaves_the_gate() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("expiring").await;
    let end = stack.clock.now() + TimeDelta::milliseconds(300);
    let order = json!({ "kind": "probe", "payload": {}, "expires_at": end });
    let id = caller
        .post("/api/v1/jobs", &order)
        .await
        .expect(202)
        .text_of("id");
    let ids = [id.parse().unwrap()];
    crate::harness::eventually("it has expired", || async {
        stack.tick().await;
        let gone = stack.unknown_to_gate(&ids).await;
        (gone == ids).then_some(())
    })
    .await;
    assert_eq!(stack.ended(&caller, &id).await["error"]["code"], "expired");
    stack.stop().await;
}
