//! What is told of people who come, go, and try to.

use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use super::{entries, entry_of};
use crate::harness::{Caller, Stack, eventually};

/// The refused entries of a log, as soon as there are so many.
async fn refused(caller: &Caller, count: usize) -> Vec<Value> {
    eventually("the refusals are told", || async {
        let told = entries(caller, "&action=access.denied").await;
        (told.len() >= count).then_some(told)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_changes_their_password_and_leaves_is_told_by_name() {
    let stack = Stack::still().await;
    let admin = stack.create_tenant("acme").await;
    let person = stack
        .person("ada@acme.example", &[("acme", Role::TenantViewer)])
        .await;
    let login = stack
        .try_log_in(&person.email, &person.password, None)
        .await
        .expect(200);
    let told = entry_of(&admin, &login, "").await;
    assert_eq!(told["action"], "session.begin");
    assert_eq!(
        (&told["actor_kind"], &told["actor_display"]),
        (&json!("user"), &json!("ada@acme.example"))
    );
    assert_eq!(told["actor_id"], person.id.to_string());
    assert_eq!(
        (&told["detail"]["with"], &told["source_address"]),
        (&json!("password"), &json!("127.0.0.1"))
    );
    let refreshed = stack.refresh(&login.text_of("refresh_token")).await;
    let told = entry_of(&admin, &refreshed.clone().expect(200), "").await;
    assert_eq!(told["action"], "session.refresh");
    let session = stack.logged_in(&refreshed);
    let left = session.caller.post("/api/v1/auth/logout", &json!({})).await;
    let told = entry_of(&admin, &left.expect(204), "").await;
    assert_eq!(
        (&told["action"], &told["detail"]["reason"]),
        (&json!("session.end"), &json!("logout"))
    );
    // An administrator of the platform belongs to no tenant.
    stack
        .change("UPDATE users SET platform_role = 'system-admin' WHERE email = 'ada@acme.example'")
        .await;
    let login = stack
        .try_log_in(&person.email, &person.password, None)
        .await
        .expect(200);
    let told = entry_of(&stack.admin, &login, "").await;
    assert_eq!(told["action"], "session.begin");
    let all = stack.admin.get("/api/v1/audit-log?limit=200").await.text
        + &admin.get("/api/v1/audit-log?limit=200").await.text;
    for secret in [&person.password, &session.refresh, &session.access] {
        assert!(!all.contains(secret.as_str()), "{all}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_comes_twice_is_told_as_the_end_of_its_session() {
    let stack = Stack::still().await;
    let admin = stack.create_tenant("acme").await;
    let person = stack
        .person("ada@acme.example", &[("acme", Role::TenantViewer)])
        .await;
    let session = stack.log_in(&person, None).await;
    stack.refresh(&session.refresh).await.expect(200);
    stack
        .change("UPDATE refresh_tokens SET used_at = used_at - interval '1 minute' WHERE used_at IS NOT NULL")
        .await;
    let again = stack.refresh(&session.refresh).await;
    let again = again.problem(401, "refresh.invalid");
    let told = entry_of(&admin, &again, "").await;
    assert_eq!(
        (&told["action"], &told["detail"]["reason"]),
        (&json!("session.end"), &json!("reuse"))
    );
    assert_eq!(
        (&told["actor_kind"], &told["actor_id"]),
        (&json!("anonymous"), &json!("127.0.0.1")),
        "nobody knows which of the two it is"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_failed_is_told_to_the_accounts_tenant_and_else_to_the_platform() {
    let stack = Stack::still().await;
    let acme = stack.create_tenant("acme").await;
    let bravo = stack.create_tenant("bravo").await;
    let person = stack
        .person("ada@acme.example", &[("acme", Role::TenantViewer)])
        .await;
    let wrong = "a password that is wrong";
    let own = stack.try_log_in(&person.email, wrong, None).await;
    let own = own.problem(401, "auth.failed");
    let told = refused(&acme, 1).await;
    assert_eq!(told[0]["request_id"], own.header("x-request-id"));
    assert_eq!(
        (&told[0]["object_type"], &told[0]["object_id"]),
        (&json!("user"), &json!(person.id.to_string()))
    );
    assert_eq!(told[0]["actor_kind"], "anonymous");
    assert_eq!(told[0]["detail"]["code"], "auth.failed");
    // With the right password, in a tenant that is another's: the platform learns of it, and no tenant.
    let crossing = stack
        .try_log_in(&person.email, &person.password, Some("bravo"))
        .await;
    let crossing = crossing.problem(401, "auth.failed");
    let nobody = stack.try_log_in("nobody@acme.example", wrong, None).await;
    let nobody = nobody.problem(401, "auth.failed");
    let told = refused(&stack.admin, 2).await;
    let of = |answer: &crate::harness::Answer| {
        let id = json!(answer.header("x-request-id"));
        told.iter().find(|told| told["request_id"] == id).unwrap()
    };
    assert_eq!(of(&crossing)["detail"]["cross_tenant"], true);
    assert_eq!(of(&nobody)["detail"]["cross_tenant"], false);
    assert!(of(&nobody)["object_id"].is_null());
    let text = json!(told).to_string();
    assert!(
        !text.contains("nobody@acme.example"),
        "people type passwords into the wrong field: {text}"
    );
    assert_eq!(refused(&acme, 1).await.len(), 1);
    assert!(entries(&bravo, "&result=denied").await.is_empty());
    stack.stop().await;
}

async fn crossing_of(stack: &Stack, caller: &Caller, object: &str) {
    let query = format!("&action=access.denied&object={object}");
    for reader in [caller, &stack.admin] {
        eventually("the refusal is told", || async {
            let told = entries(reader, &query).await;
            (told.len() == 1 && told[0]["detail"]["cross_tenant"] == true).then_some(())
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn reaching_for_anothers_keys_people_and_invitations_is_told() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let keys = bravo.get("/api/v1/api-keys").await.expect(200);
    let key = keys.json["items"][0]["id"].as_str().unwrap().to_owned();
    alpha
        .delete(&format!("/api/v1/api-keys/{key}"))
        .await
        .problem(404, "not_found");
    crossing_of(&stack, &alpha, &key).await;
    let person = stack
        .person("bob@bravo.example", &[("bravo", Role::TenantViewer)])
        .await;
    let id = person.id.to_string();
    alpha
        .delete(&format!("/api/v1/tenants/alpha/members/{id}"))
        .await
        .problem(404, "not_found");
    crossing_of(&stack, &alpha, &id).await;
    let order = json!({ "email": "new@bravo.example", "role": "viewer" });
    let invited = bravo.post("/api/v1/tenants/bravo/members", &order).await;
    let id = invited.expect(201).text_of("id");
    alpha
        .delete(&format!("/api/v1/tenants/alpha/invitations/{id}"))
        .await
        .problem(404, "not_found");
    crossing_of(&stack, &alpha, &id).await;
    alpha
        .get("/api/v1/audit-log?tenant=bravo")
        .await
        .problem(404, "not_found");
    crossing_of(&stack, &alpha, "bravo").await;
    // What is nobody's is no crossing.
    let nobodys = uuid::Uuid::now_v7();
    for path in [
        "api-keys",
        "tenants/alpha/members",
        "tenants/alpha/invitations",
    ] {
        alpha
            .delete(&format!("/api/v1/{path}/{nobodys}"))
            .await
            .problem(404, "not_found");
    }
    let query = format!("&action=access.denied&object={nobodys}");
    assert!(entries(&alpha, &query).await.is_empty());
    assert!(entries(&bravo, "&result=denied").await.is_empty());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_sent_in_anothers_name_is_told_to_its_owner() {
    let stack = Stack::still().await;
    stack.create_tenant("bravo").await;
    let body = crate::harness::tenant_body("alpha");
    let made = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    let key = made.text_of("api_key");
    let alpha = stack.admin.with_key(&key);
    // The row is looked up by the hash, so a key in another's name can only be one whose row was moved.
    stack
        .change("UPDATE api_keys SET tenant_id = 'bravo' WHERE tenant_id = 'alpha'")
        .await;
    alpha
        .get("/api/v1/jobs")
        .await
        .problem(401, "auth.required");
    let told = refused(&stack.admin, 1).await;
    assert_eq!(
        (
            &told[0]["detail"]["cross_tenant"],
            &told[0]["detail"]["code"]
        ),
        (&json!(true), &json!("auth.required"))
    );
    assert_eq!(told[0]["detail"]["tenant_id"], "bravo");
    stack.stop().await;
}
