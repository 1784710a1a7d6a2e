//! Whoever leaves a tenant, or is lowered in it, leaves nothing behind that still opens something.

use serde_json::{Value, json};

use super::{PASSWORD, accept, enter, invite, log_in, logged_in, token_of};
use crate::harness::{Answer, Caller, Stack, eventually};

const ME: &str = "/api/v1/auth/me";

fn member_path(user: impl std::fmt::Display) -> String {
    format!("/api/v1/tenants/acme/members/{user}")
}

async fn used(caller: &Caller) -> Value {
    let usage = caller.get("/api/v1/tenants/acme/usage").await.expect(200);
    usage.json["users"]["used"].clone()
}

async fn status_of(invited: &Answer, caller: &Caller) -> Value {
    let path = invited.header("location").to_owned();
    caller.get(&path).await.expect(200).json["status"].clone()
}

async fn key_of(caller: &Caller, stack: &Stack) -> Caller {
    let order = json!({ "name": "left behind", "role": "viewer" });
    let made = caller.post("/api/v1/api-keys", &order).await.expect(201);
    stack.admin.with_key(&made.text_of("api_key"))
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_removed_member_comes_back_with_them() {
    let (stack, clock) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let other = stack.create_tenant("other").await;
    let email = "leaves@people.example";
    let user = enter(&stack, &admin, "acme", (email, "admin")).await;
    clock.advance(chrono::TimeDelta::minutes(2));
    enter(&stack, &other, "other", (email, "viewer")).await;
    let tokens = log_in(&stack, email, PASSWORD, "acme").await.expect(200);
    let session = stack.logged_in(&tokens);
    let elsewhere = logged_in(&stack, email, "other").await;
    let key = key_of(&session.caller, &stack).await;
    key.get(ME).await.expect(200);
    admin.delete(&member_path(user)).await.expect(204);
    enter(&stack, &admin, "acme", (email, "admin")).await;
    eventually("the old session and key are refused", || async {
        let refused = [session.caller.get(ME).await, key.get(ME).await];
        refused
            .iter()
            .all(|answer| answer.status == 401)
            .then_some(())
    })
    .await;
    stack
        .refresh(&session.refresh)
        .await
        .problem(401, "refresh.invalid");
    let keys = admin.get("/api/v1/api-keys").await.expect(200);
    let of_them = keys.json["items"].as_array().unwrap().iter();
    let of_them: Vec<&Value> = of_them
        .filter(|key| key["created_by"] == user.to_string())
        .collect();
    assert_eq!(of_them.len(), 1);
    assert!(of_them[0]["revoked_at"].is_string(), "{}", of_them[0]);
    elsewhere.get(ME).await.expect(200);
    logged_in(&stack, email, "acme").await;
    let log = admin.get("/api/v1/audit-log?limit=200").await.expect(200);
    let told = log.json["items"].as_array().unwrap().iter();
    let told: Vec<&Value> = told
        .filter(|told| told["action"] == "member.remove")
        .map(|told| &told["detail"])
        .collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0]["sessions_ended"], 1);
    assert_eq!(told[0]["api_keys_revoked"], json!([of_them[0]["id"]]));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn invitations_of_a_removed_administrator_let_nobody_in_and_give_their_places_back() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let email = "leaves@people.example";
    let user = enter(&stack, &admin, "acme", (email, "admin")).await;
    let leaves = logged_in(&stack, email, "acme").await;
    let order = json!({ "name": "theirs", "role": "admin" });
    let made = leaves.post("/api/v1/api-keys", &order).await.expect(201);
    let key = stack.admin.with_key(&made.text_of("api_key"));
    let by_them = invite(&leaves, "acme", "one@people.example", "viewer").await;
    let by_key = invite(&key, "acme", "two@people.example", "admin").await;
    let by_another = invite(&admin, "acme", "three@people.example", "admin").await;
    let all = [by_them, by_key, by_another].map(|invited| invited.expect(201));
    assert_eq!(used(&admin).await, 5);
    admin.delete(&member_path(user)).await.expect(204);
    for invited in &all[..2] {
        assert_eq!(status_of(invited, &admin).await, "revoked");
        accept(&stack, &token_of(invited), PASSWORD)
            .await
            .problem(410, "invitation.gone");
    }
    assert_eq!(used(&admin).await, 2);
    accept(&stack, &token_of(&all[2]), PASSWORD)
        .await
        .expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_lowered_has_invited_nobody_to_more_than_they_are() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let email = "lowered@people.example";
    let user = enter(&stack, &admin, "acme", (email, "admin")).await;
    let lowered = logged_in(&stack, email, "acme").await;
    let mut invited = Vec::new();
    for role in ["admin", "member", "viewer"] {
        let email = format!("{role}@people.example");
        let sent = invite(&lowered, "acme", &email, role).await;
        invited.push(sent.expect(201));
    }
    let lower = json!({ "role": "member" });
    admin.patch(&member_path(user), &lower).await.expect(200);
    let mut states = Vec::new();
    for invited in &invited {
        states.push(status_of(invited, &admin).await);
    }
    assert_eq!(states, ["revoked", "pending", "pending"]);
    assert_eq!(used(&admin).await, 4);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_who_is_disabled_does_not_count_as_one() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let first = super::members(&admin, "acme").await[0]["user_id"].clone();
    let first = member_path(first.as_str().unwrap());
    let email = "disabled@people.example";
    let second = enter(&stack, &admin, "acme", (email, "admin")).await;
    stack
        .change("UPDATE users SET disabled_at = now() WHERE email = 'disabled@people.example'")
        .await;
    admin.delete(&first).await.problem(409, "member.last_admin");
    let lower = json!({ "role": "viewer" });
    admin
        .patch(&first, &lower)
        .await
        .problem(409, "member.last_admin");
    admin.delete(&member_path(second)).await.expect(204);
    stack.stop().await;
}
