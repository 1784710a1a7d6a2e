//! People of another tenant: who they are, and that they are there at all, is told to nobody.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::json;

use super::{all_alike, faceless};
use crate::harness::{Caller, Stack};

async fn invite(caller: &Caller, tenant: &str) -> String {
    let order = json!({ "email": format!("canary@{tenant}.example"), "role": "viewer" });
    let path = format!("/api/v1/tenants/{tenant}/members");
    caller.post(&path, &order).await.expect(201).text_of("id")
}

async fn first_member(caller: &Caller, tenant: &str) -> String {
    let page = caller
        .get(&format!("/api/v1/tenants/{tenant}/members"))
        .await
        .expect(200);
    page.json["items"][0]["user_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

async fn stack_of_two() -> (Stack, Caller, Caller) {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    (stack, alpha, bravo)
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_members_and_invitations_are_answered_as_ones_that_do_not_exist() {
    let (stack, alpha, bravo) = stack_of_two().await;
    let (user, invitation) = (
        first_member(&bravo, "bravo").await,
        invite(&bravo, "bravo").await,
    );
    let nobody = uuid::Uuid::now_v7().to_string();
    for (what, theirs) in [("members", &user), ("invitations", &invitation)] {
        let mut paths = Vec::new();
        for id in [theirs, &nobody, "x"] {
            for tenant in ["alpha", "bravo", "nobody"] {
                paths.push(format!("/api/v1/tenants/{tenant}/{what}/{id}"));
            }
        }
        all_alike(&alpha, &paths, 404, "not_found").await;
        all_alike(
            &alpha,
            &["bravo", "nobody"].map(|tenant| format!("/api/v1/tenants/{tenant}/{what}")),
            404,
            "not_found",
        )
        .await;
        for (method, body) in [
            (Method::DELETE, None),
            (Method::PATCH, Some(r#"{"role":"viewer"}"#)),
        ] {
            let mut faces = BTreeSet::new();
            for path in &paths {
                let headers = [("content-type", "application/json")];
                let body = body.map(|body| body.as_bytes().to_vec());
                let answer = alpha.send(method.clone(), path, &headers, body).await;
                faces.insert(faceless(&answer));
            }
            assert_eq!(faces.len(), 1, "{method} {what}: {faces:#?}");
        }
    }
    let mut faces = BTreeSet::new();
    for (tenant, id) in [
        ("alpha", &invitation),
        ("alpha", &nobody),
        ("bravo", &invitation),
    ] {
        let path = format!("/api/v1/tenants/{tenant}/invitations/{id}/resend");
        faces.insert(faceless(&alpha.post(&path, &json!({})).await));
    }
    let order = json!({ "email": "x@people.example", "role": "viewer" });
    for tenant in ["bravo", "nobody"] {
        let path = format!("/api/v1/tenants/{tenant}/members");
        faces.insert(faceless(&alpha.post(&path, &order).await));
    }
    assert_eq!(faces.len(), 1, "{faces:#?}");
    assert_eq!(first_member(&bravo, "bravo").await, user);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_people_holds_those_of_its_own_tenant_and_its_pages_are_its_own() {
    let (stack, alpha, bravo) = stack_of_two().await;
    for (own, other, own_name, other_name) in [
        (&alpha, &bravo, "alpha", "bravo"),
        (&bravo, &alpha, "bravo", "alpha"),
    ] {
        invite(own, own_name).await;
        let invitation = json!({ "email": "second@people.example", "role": "viewer" });
        let members = format!("/api/v1/tenants/{own_name}/members");
        own.post(&members, &invitation).await.expect(201);
        let invitations = format!("/api/v1/tenants/{own_name}/invitations");
        for path in [&members, &invitations] {
            let page = own.get(path).await.expect(200);
            assert!(
                page.text.contains(own_name) && !page.text.contains(other_name),
                "{}",
                page.text
            );
        }
        let page = own.get(&format!("{invitations}?limit=1")).await.expect(200);
        let token = page.text_of("next_page_token");
        let theirs = format!("/api/v1/tenants/{other_name}/invitations?limit=1&page_token={token}");
        other.get(&theirs).await.problem(400, "page_token.invalid");
        stack
            .admin
            .get(&theirs)
            .await
            .problem(400, "page_token.invalid");
    }
    stack.stop().await;
}
