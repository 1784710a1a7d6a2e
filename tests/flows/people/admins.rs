//! Roles and their end: at once for who is logged in, and never the last administrator's.

use reqwest::Method;
use serde_json::json;

use super::{PASSWORD, come_in, forget_mails, invite, log_in, logged_in, members, stack_with_mail};
use crate::harness::{Caller, Stack, eventually};

fn member_path(tenant: &str, user: impl std::fmt::Display) -> String {
    format!("/api/v1/tenants/{tenant}/members/{user}")
}

/// The first administrator's id.
async fn first_admin(admin: &Caller, tenant: &str) -> String {
    let all = members(admin, tenant).await;
    assert_eq!(all.len(), 1);
    all[0]["user_id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_administrator_can_neither_go_nor_be_lowered() {
    let (stack, mailbox) = stack_with_mail().await;
    let key = stack.create_tenant("acme").await;
    let first = member_path("acme", first_admin(&key, "acme").await);
    for caller in [&key, &stack.admin] {
        caller
            .delete(&first)
            .await
            .problem(409, "member.last_admin");
        for role in ["viewer", "tenant-member"] {
            let lowered = caller.patch(&first, &json!({ "role": role })).await;
            lowered.problem(409, "member.last_admin");
        }
        caller
            .patch(&first, &json!({ "role": "admin" }))
            .await
            .expect(200);
    }
    let second = come_in(
        &stack,
        &mailbox,
        &key,
        "acme",
        ("second@acme.example", "admin"),
    )
    .await;
    let second = member_path("acme", second);
    key.patch(&first, &json!({ "role": "member" }))
        .await
        .expect(200);
    key.delete(&second).await.problem(409, "member.last_admin");
    key.delete(&first).await.expect(204);
    key.delete(&first).await.problem(404, "not_found");
    key.get(&second).await.expect(200);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_administrators_who_remove_each_other_at_once_leave_one() {
    let (stack, mailbox) = stack_with_mail().await;
    let key = stack.create_tenant("acme").await;
    let mut one = first_admin(&key, "acme").await;
    for round in 0..8 {
        let email = format!("admin-{round}@acme.example");
        let two = come_in(&stack, &mailbox, &key, "acme", (&email, "admin"))
            .await
            .to_string();
        let (remove, lower) = (member_path("acme", &one), member_path("acme", &two));
        let lowered = json!({ "role": "viewer" });
        let (first, second) = if round % 2 == 0 {
            tokio::join!(key.delete(&remove), key.delete(&lower))
        } else {
            tokio::join!(key.delete(&remove), key.patch(&lower, &lowered))
        };
        let refused = [&first, &second]
            .into_iter()
            .filter(|answer| answer.status == 409);
        assert_eq!(refused.count(), 1, "{} and {}", first.text, second.text);
        let left = members(&key, "acme").await;
        let admins: Vec<_> = left
            .iter()
            .filter(|member| member["role"] == "tenant-admin")
            .collect();
        assert_eq!(admins.len(), 1, "{left:#?}");
        one = admins[0]["user_id"].as_str().unwrap().to_owned();
    }
    stack.finish().await;
}

async fn soon(what: &str, caller: &Caller, path: &str, status: u16) {
    eventually(what, || async {
        let answer = caller.get(path).await;
        (answer.status.as_u16() == status).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_holds_for_who_is_logged_in_and_a_removed_member_is_let_in_no_more() {
    let (stack, mailbox) = stack_with_mail().await;
    let key = stack.create_tenant("acme").await;
    let email = "moves@acme.example";
    let user = come_in(&stack, &mailbox, &key, "acme", (email, "viewer")).await;
    let path = member_path("acme", user);
    let invitations = "/api/v1/tenants/acme/invitations";
    let person = logged_in(&stack, email, "acme").await;
    person
        .get(invitations)
        .await
        .problem(403, "role.insufficient");
    key.patch(&path, &json!({ "role": "admin" }))
        .await
        .expect(200);
    soon("the higher role holds", &person, invitations, 200).await;
    key.patch(&path, &json!({ "role": "tenant-viewer" }))
        .await
        .expect(200);
    soon("the lower role holds", &person, invitations, 403).await;
    key.delete(&path).await.expect(204);
    soon("a removed member is nobody", &person, "/api/v1/jobs", 401).await;
    log_in(&stack, email, PASSWORD, "acme")
        .await
        .problem(401, "auth.failed");
    forget_mails(&stack).await;
    // The address can be invited again, and the account is still theirs.
    assert_eq!(
        come_in(&stack, &mailbox, &key, "acme", (email, "member")).await,
        user
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_meant_for_another_version_is_refused() {
    let (stack, mailbox) = stack_with_mail().await;
    let key = stack.create_tenant("acme").await;
    let user = come_in(
        &stack,
        &mailbox,
        &key,
        "acme",
        ("moves@acme.example", "viewer"),
    )
    .await;
    let path = member_path("acme", user);
    let seen = key.get(&path).await.expect(200).header("etag").to_owned();
    let change_at = |tag: &str| {
        let headers = [("content-type", "application/json"), ("if-match", tag)]
            .map(|(name, value)| (name, value.to_owned()));
        let (key, path) = (key.clone(), path.clone());
        async move {
            let headers: Vec<(&str, &str)> = headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            let body = Some(br#"{"role": "member"}"#.to_vec());
            key.send(Method::PATCH, &path, &headers, body).await
        }
    };
    let changed = change_at(&seen).await.expect(200);
    assert_ne!(changed.header("etag"), seen);
    change_at(&seen).await.problem(412, "precondition.failed");
    let headers = [("if-match", seen.as_str())];
    let stale = key.send(Method::DELETE, &path, &headers, None).await;
    stale.problem(412, "precondition.failed");
    let headers = [("if-match", changed.header("etag"))];
    key.send(Method::DELETE, &path, &headers, None)
        .await
        .expect(204);
    stack.finish().await;
}

/// Removal and sign-up at the same time, many times over: the list is what was answered.
#[tokio::test(flavor = "multi_thread")]
async fn members_and_invitations_are_listed_in_pages() {
    let (stack, mailbox) = stack_with_mail().await;
    let key = stack.create_tenant("acme").await;
    let mut expected = vec![first_admin(&key, "acme").await];
    for number in 0..4 {
        let email = format!("{number}@acme.example");
        let user = come_in(&stack, &mailbox, &key, "acme", (&email, "viewer")).await;
        expected.push(user.to_string());
    }
    for number in 4..7 {
        invite(&key, "acme", &format!("{number}@acme.example"), "viewer")
            .await
            .expect(201);
    }
    expected.sort();
    assert_eq!(
        all(&stack, &key, "/api/v1/tenants/acme/members", "user_id").await,
        expected
    );
    let invitations = "/api/v1/tenants/acme/invitations";
    let mut newest_first = all(&stack, &key, invitations, "id").await;
    assert_eq!(newest_first.len(), 7);
    newest_first.reverse();
    assert!(newest_first.is_sorted());
    let pending = key
        .get(&format!("{invitations}?status=pending"))
        .await
        .expect(200);
    assert_eq!(pending.json["items"].as_array().unwrap().len(), 3);
    stack.finish().await;
}

async fn all(stack: &Stack, caller: &Caller, path: &str, field: &str) -> Vec<String> {
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = caller
            .get(&format!("{path}?limit=2{next}"))
            .await
            .expect(200);
        for item in page.json["items"].as_array().unwrap() {
            found.push(item[field].as_str().unwrap().to_owned());
        }
        let Some(token) = page.json["next_page_token"].as_str() else {
            return found;
        };
        next = format!("&page_token={token}");
        let other = stack
            .admin
            .get(&format!("/api/v1/tenants?page_token={token}"))
            .await;
        other.problem(400, "page_token.invalid");
    }
}
