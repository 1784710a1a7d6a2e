//! The cron schedule that reconciles every tenant's namespace.

use chrono::{DateTime, TimeDelta, Utc};
use unity_scheduler::run_all_once;
use unity_shared::clock::Clock;

use crate::harness::Stack;

fn at(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

/// A stack whose time stands at 10:05 and whose loops the test moves.
async fn stack_at_five_past_ten() -> (Stack, Clock) {
    let clock = Clock::manual(at("2026-11-23T10:05:00Z"));
    (Stack::still_at(&clock).await, clock)
}

const SCHEDULED: &str = "SELECT count(*) FROM jobs WHERE request_id IS NULL";

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_fires_once_for_each_tenant_although_two_schedulers_try() {
    let (stack, clock) = stack_at_five_past_ten().await;
    for tenant in ["one", "two"] {
        stack.create_tenant(tenant).await;
    }
    finish_all(&stack).await;
    stack.tick().await;
    assert_eq!(stack.count(SCHEDULED).await, 0);
    clock.advance(TimeDelta::minutes(5));
    let context = stack.context();
    let (first, second) = tokio::join!(run_all_once(&context), run_all_once(&context));
    first.unwrap();
    second.unwrap();
    assert_eq!(stack.count(SCHEDULED).await, 2);
    assert_eq!(
        stack.count("SELECT count(*) FROM schedule_firings").await,
        1
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_nobody_led_is_fired_once() {
    let (stack, clock) = stack_at_five_past_ten().await;
    stack.create_tenant("one").await;
    finish_all(&stack).await;
    stack.tick().await;
    clock.advance(TimeDelta::hours(2));
    stack.tick().await;
    stack.tick().await;
    assert_eq!(stack.count(SCHEDULED).await, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_whose_last_reconcile_has_not_ended_gets_no_further_one() {
    let (stack, clock) = stack_at_five_past_ten().await;
    stack.create_tenant("stuck").await;
    stack.tick().await;
    for _ in 0..3 {
        clock.advance(TimeDelta::minutes(10));
        stack.tick().await;
    }
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, 1);
    assert_eq!(
        stack.count("SELECT count(*) FROM schedule_firings").await,
        3
    );
    stack.stop().await;
}

async fn finish_all(stack: &Stack) {
    sqlx::query("UPDATE jobs SET status = 'succeeded', finished_at = now()")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
}
