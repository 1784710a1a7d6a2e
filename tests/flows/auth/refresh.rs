//! Refresh tokens: good once, and a second use ends the session.

use chrono::TimeDelta;
use unity_shared::tenancy::Role;

use super::{JOBS, ME};
use crate::harness::{LoggedIn, Stack, eventually};

async fn viewer(stack: &Stack) -> LoggedIn {
    stack.create_tenant("acme").await;
    let person = stack
        .person("stays@example.com", &[("acme", Role::TenantViewer)])
        .await;
    stack.log_in(&person, None).await
}

async fn refused_soon(session: &LoggedIn) {
    eventually("the access token is refused", || async {
        (session.caller.get(ME).await.status == 401).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_with_each_new_token() {
    let (stack, clock) = Stack::still_now().await;
    let mut session = viewer(&stack).await;
    for _ in 0..3 {
        clock.advance(TimeDelta::minutes(16));
        session.caller.get(ME).await.problem(401, "auth.required");
        let next = stack.refresh(&session.refresh).await.expect(200);
        session = stack.logged_in(&next);
        session.caller.get(JOBS).await.expect(200);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_use_ends_the_session_for_both_who_have_the_token() {
    // The time stands still: however soon the second use comes, the first was answered before it.
    let (stack, _) = Stack::still_now().await;
    let session = viewer(&stack).await;
    let next = stack.refresh(&session.refresh).await.expect(200);
    let next = stack.logged_in(&next);
    next.caller.get(ME).await.expect(200);
    let again = stack.refresh(&session.refresh).await;
    again.problem(401, "refresh.invalid");
    refused_soon(&session).await;
    refused_soon(&next).await;
    let heir = stack.refresh(&next.refresh).await;
    heir.problem(401, "refresh.invalid");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_uses_that_overlap_one_goes_on_and_nothing_ends() {
    let (stack, clock) = Stack::still_now().await;
    let session = viewer(&stack).await;
    // Nobody is answered before all have arrived.
    let mut owner = stack.owner().await;
    let hold = "BEGIN; SELECT FROM refresh_tokens FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut owner).await.unwrap();
    let uses = (0..4).map(|_| stack.refresh(&session.refresh));
    let release = async {
        eventually("all four have arrived", || async {
            let waiting = stack.count(
                "SELECT count(*) FROM pg_stat_activity
                 WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%refresh_tokens%'",
            );
            (waiting.await == 4).then_some(())
        })
        .await;
        clock.advance(TimeDelta::seconds(1));
        sqlx::raw_sql("COMMIT").execute(&mut owner).await.unwrap();
    };
    let (answers, ()) = tokio::join!(futures::future::join_all(uses), release);
    let (mut good, mut raced) = (Vec::new(), 0);
    for answer in answers {
        if answer.status == 200 {
            good.push(stack.logged_in(&answer));
        } else {
            let answer = answer.problem(409, "refresh.raced");
            assert!(!answer.text.contains("ur_"), "{}", answer.text);
            raced += 1;
        }
    }
    assert_eq!((good.len(), raced), (1, 3));
    clock.advance(TimeDelta::seconds(60));
    stack.refresh(&good[0].refresh).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_no_member_any_more_gets_no_token_and_nothing_tells_of_one() {
    let (stack, _) = Stack::still_now().await;
    let session = viewer(&stack).await;
    stack
        .change("DELETE FROM memberships WHERE role = 'tenant-viewer'")
        .await;
    let refused = stack.refresh(&session.refresh).await;
    refused.problem(401, "refresh.invalid");
    let told = "SELECT count(*) FROM audit_log WHERE action = 'session.refresh'";
    assert_eq!(stack.count(told).await, 0);
    let tokens = "SELECT count(*) FROM refresh_tokens";
    assert_eq!(stack.count(tokens).await, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_after_a_week_and_a_session_after_thirty_days() {
    let (stack, clock) = Stack::still_now().await;
    let mut session = viewer(&stack).await;
    for _ in 0..4 {
        clock.advance(TimeDelta::days(6));
        let next = stack.refresh(&session.refresh).await.expect(200);
        session = stack.logged_in(&next);
    }
    // The last token of a session ends with it, six days after its own beginning.
    clock.advance(TimeDelta::days(6));
    let refused = stack.refresh(&session.refresh).await;
    refused.problem(401, "refresh.invalid");
    let person = stack
        .person("week@example.com", &[("acme", Role::TenantViewer)])
        .await;
    let session = stack.log_in(&person, None).await;
    clock.advance(TimeDelta::days(7));
    let refused = stack.refresh(&session.refresh).await;
    refused.problem(401, "refresh.invalid");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_not_good_for_each_others_use() {
    let (stack, _) = Stack::still_now().await;
    let session = viewer(&stack).await;
    let refused = stack.admin.with_key(&session.refresh).get(ME).await;
    refused.problem(401, "auth.required");
    for wrong in [
        session.access.as_str(),
        "",
        "ur_",
        "ur_x",
        "\u{0}",
        "ur_\u{1f600}",
    ] {
        let refused = stack.refresh(wrong).await;
        refused.problem(401, "refresh.invalid");
    }
    session.caller.get(ME).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenants_token_is_refused_and_not_used_up() {
    let (stack, _) = Stack::still_now().await;
    let session = viewer(&stack).await;
    stack
        .change(
            "UPDATE tenants SET status = 'suspended', suspended_at = now() WHERE id <> 'platform'",
        )
        .await;
    let refused = stack.refresh(&session.refresh).await;
    refused.problem(403, "tenant.suspended");
    stack
        .change("UPDATE tenants SET status = 'active', suspended_at = NULL")
        .await;
    stack.refresh(&session.refresh).await.expect(200);
    stack.stop().await;
}
