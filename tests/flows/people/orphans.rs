//! Accounts that belong to nothing are kept for a month, and then no longer.

use chrono::TimeDelta;

use super::{PASSWORD, enter, invite, log_in};
use crate::harness::Stack;

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_nothing_holds_is_deleted_after_a_month() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    for name in ["gone", "back", "invited", "operator", "stays"] {
        let email = format!("{name}@people.example");
        let user = enter(&stack, &admin, "acme", (&email, "viewer")).await;
        if name != "stays" {
            let path = format!("/api/v1/tenants/acme/members/{user}");
            admin.delete(&path).await.expect(204);
        }
    }
    stack
        .change("UPDATE users SET platform_role = 'system-admin' WHERE email LIKE 'operator@%'")
        .await;
    stack.tick().await;
    clock.advance(TimeDelta::days(29));
    stack.tick().await;
    let left = "SELECT count(*) FROM users WHERE email LIKE '%@people.example'";
    assert_eq!(stack.count(left).await, 5);
    // Who comes back in time has all the time again, with the password of before.
    let invited = invite(&admin, "acme", "back@people.example", "viewer").await;
    let token = super::token_of(&invited.expect(201));
    super::accept(&stack, &token, PASSWORD).await.expect(200);
    invite(&admin, "acme", "invited@people.example", "viewer")
        .await
        .expect(201);
    clock.advance(TimeDelta::days(1));
    stack.tick().await;
    let gone = "SELECT count(*) FROM users WHERE email = 'gone@people.example'";
    assert_eq!(stack.count(gone).await, 0);
    assert_eq!(stack.count(left).await, 4);
    log_in(&stack, "back@people.example", PASSWORD, "acme")
        .await
        .expect(200);
    stack.stop().await;
}
