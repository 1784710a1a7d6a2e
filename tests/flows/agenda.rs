//! What the rows say wakes the loop that it is meant for, long before a loop runs by itself, which each
//! does once a minute. What is due and what is late: `flows::processes` and `flows::batch`.

use std::time::Duration;

use serde_json::json;
use unity_shared::ids::JobId;

use super::{
    left_over::{says, why},
    mending::run_probes_for_an_hour,
};
use crate::harness::{Stack, StackOptions, eventually};

/// A scheduler that leads, and nobody who would take a job.
async fn led() -> Stack {
    let options = StackOptions {
        workers: 0,
        ..StackOptions::default()
    };
    Stack::start_with(options).await
}

async fn change(stack: &Stack, change: &'static str) {
    let changed = sqlx::query(change).execute(&mut stack.owner().await).await;
    assert!(changed.unwrap().rows_affected() > 0, "{change}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queued_row_without_a_place_gets_one() {
    let stack = led().await;
    let caller = stack.create_tenant("placeless").await;
    let ids: [JobId; 1] = [stack.probe(&caller, json!({})).await.parse().unwrap()];
    assert_eq!(stack.gate.forget(&ids).await.unwrap(), 1);
    eventually("the job has its place", || async {
        stack.unknown_to_gate(&ids).await.is_empty().then_some(())
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_row_without_a_slot_gets_one_and_is_queued_when_its_lease_is_over() {
    let stack = led().await;
    let caller = stack.create_tenant("slotless").await;
    let id = stack.probe(&caller, json!({})).await;
    run_probes_for_an_hour(&stack).await;
    let job: JobId = id.parse().unwrap();
    eventually("the job is counted", || async {
        let horizon = Duration::from_hours(2);
        let slots = stack.gate.expiring("default", horizon, 0).await.unwrap();
        slots.contains(&job).then_some(())
    })
    .await;
    change(
        &stack,
        "UPDATE jobs SET lease_expires_at = now() - interval '1 second' WHERE kind = 'probe'",
    )
    .await;
    eventually("the job is queued again", || async {
        let path = format!("/api/v1/jobs/{id}");
        let row = caller.get(&path).await.expect(200).json;
        (row["status"] == "queued").then_some(())
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_and_a_switch_that_changed_are_brought_to_the_gate() {
    let stack = led().await;
    let caller = stack.create_tenant("changed").await;
    let id = stack.probe(&caller, json!({})).await;
    let comes = |code: &'static str, wanted: bool| {
        let (caller, id) = (&caller, &id);
        eventually(code, move || async move {
            (says(&why(caller, id).await, code) == wanted).then_some(())
        })
    };
    change(
        &stack,
        "UPDATE tenants SET max_concurrent = 0, version = version + 1, updated_at = now()
         WHERE id = 'changed'",
    )
    .await;
    comes("tenant_limit", true).await;
    change(
        &stack,
        "INSERT INTO switches (id, tenant_id, action, reason, created_at, expires_at)
         VALUES (gen_random_uuid(), 'changed', 'pause', 'r', now(), now() + interval '1 hour')",
    )
    .await;
    comes("paused", true).await;
    change(&stack, "UPDATE switches SET ended_at = now()").await;
    comes("paused", false).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_whose_time_has_come_is_fired() {
    let stack = led().await;
    stack.create_tenant("scheduled").await;
    eventually("its next instant is known", || async {
        let unknown = "SELECT count(*) FROM schedules WHERE next_fire_at IS NULL";
        (stack.count(unknown).await == 0).then_some(())
    })
    .await;
    change(&stack, "UPDATE schedules SET next_fire_at = now()").await;
    eventually("it has fired", || async {
        let fired = stack.count("SELECT count(*) FROM schedule_firings").await;
        (fired == 1).then_some(())
    })
    .await;
    stack.stop().await;
}
