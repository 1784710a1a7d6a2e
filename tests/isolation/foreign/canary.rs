//! Everything of one tenant, looked for in every answer to another; and a tenant that is refused
//! everything.

mod planting;

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use unity_shared::tenancy::Role;

pub use self::planting::{Planted, plant};
use super::EVERY_TENANT_ROLE;
use crate::{
    harness::{Answer, Caller, EventStream, Mailbox, Stack, StackOptions, eventually},
    surface::{
        contract::schema,
        operations::{Objects, Operation, document, nobodys, objects_of, operations},
    },
};

/// Written wherever the tenant `bravo` can write.
pub const CANARY: &str = "canary-5f1c2e";

fn sings(answer: &Answer) -> bool {
    let headers = format!("{:?}", answer.headers);
    answer.text.contains(CANARY) || headers.contains(CANARY)
}

/// Everybody of alpha, and strangers.
async fn listeners(stack: &Stack, alpha: &Caller) -> Vec<Caller> {
    let mut callers = vec![
        alpha.clone(),
        stack.admin.without_key(),
        stack.admin.with_key("uk_x"),
    ];
    for role in EVERY_TENANT_ROLE {
        callers.push(stack.caller_with_role("alpha", role).await);
    }
    let address = "person@alpha.example";
    let person = stack.person(address, &[("alpha", Role::TenantAdmin)]).await;
    callers.push(stack.log_in(&person, Some("alpha")).await.caller);
    callers
}

/// What is asked, at each address that the operation has for these tenants.
fn addresses(operation: &Operation, own: &Objects, theirs: &Objects) -> BTreeSet<String> {
    let missing = nobodys();
    let pairs = [
        (own, own),
        (theirs, theirs),
        (own, theirs),
        (theirs, own),
        (own, &missing),
    ];
    let paths = pairs.into_iter().map(|(outer, inner)| {
        operation
            .about(outer, inner)
            .unwrap_or_else(|| operation.path.clone())
    });
    paths.collect()
}

/// Addresses that ask for the canary by every parameter that takes a text.
fn searches(document: &Value, operation: &Operation, address: &str) -> Vec<String> {
    let described = schema::described(document, &operation.name);
    let parameters = described["parameters"].as_array().into_iter().flatten();
    let parameters = parameters.filter(|one| {
        let is_text = one["schema"]["type"] == "string" && one["schema"]["format"].is_null();
        one["in"] == "query" && one["name"] != "page_token" && is_text
    });
    let mut searches = Vec::new();
    for parameter in parameters {
        let name = parameter["name"].as_str().unwrap();
        let twice = format!("{CANARY}:{CANARY}");
        // Whose tenant's log somebody asked for is told in their own.
        let texts = match name {
            "tenant" => vec!["bravo"],
            _ => vec![CANARY, &twice, "bravo"],
        };
        for text in texts {
            searches.push(format!("{address}?{name}={text}&limit=200"));
        }
    }
    searches
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_tenant_appears_in_any_byte_that_another_receives() {
    let mailbox = Mailbox::start().await;
    let stack = Stack::start_with(StackOptions {
        smtp_url: Some(mailbox.url.clone()),
        ..StackOptions::default()
    })
    .await;
    let Planted {
        admin: bravo,
        objects: theirs,
        ..
    } = plant(&stack, &mailbox).await;
    let alpha = stack.create_tenant("alpha").await;
    let job = stack.probe(&alpha, json!({ "echo": "alpha" })).await;
    stack.ended(&alpha, &job).await;
    let order = json!({ "email": "friend@alpha.example", "role": "viewer" });
    let members = "/api/v1/tenants/alpha/members";
    alpha.post(members, &order).await.expect(201);
    mailbox.newest_to("friend@alpha.example", 1).await;
    let mut own = objects_of(&stack, "alpha", &alpha).await;
    own.insert("jobs", job);
    let document = document(&stack).await;
    let mut all = operations(&stack).await;
    // What is there is looked at before it is changed.
    all.sort_by_key(|operation| operation.method != Method::GET);
    let bodies = [
        json!({}),
        json!({ "kind": "probe", "payload": {}, "resource_key": "x" }),
        json!({ "id": "bravo", "name": "Bravo" }),
    ];
    let listeners = listeners(&stack, &alpha).await;
    let mut heard_at_home = BTreeSet::new();
    for operation in &all {
        let takes_body = !schema::described(&document, &operation.name)["requestBody"].is_null();
        let bodies = bodies.iter().filter(|_| takes_body).map(Some).chain([None]);
        let bodies: Vec<Option<&Value>> = bodies.collect();
        for address in addresses(operation, &own, &theirs) {
            let search = searches(&document, operation, &address);
            if operation.method == Method::GET && sings(&bravo.get(&address).await) {
                heard_at_home.insert(operation.name.clone());
            }
            for caller in &listeners {
                for body in &bodies {
                    let body = body.map(|body| body.to_string().into_bytes());
                    let headers = [("content-type", "application/json")];
                    let method = operation.method.clone();
                    let answer = caller.send(method, &address, &headers, body).await;
                    assert!(!sings(&answer), "{}: {}", operation.name, answer.text);
                }
                for search in search.iter().filter(|_| operation.method == Method::GET) {
                    let answer = caller.get(search).await;
                    let echoes = answer.status.is_client_error();
                    assert!(echoes || !sings(&answer), "{search}: {}", answer.text);
                }
            }
        }
    }
    let wanted = [
        "get_member",
        "get_identity_provider",
        "get_job",
        "get_tenant",
        "list_act_as",
        "list_api_keys",
        "list_audit_log",
        "list_invitations",
        "list_jobs",
        "list_members",
    ];
    for name in wanted {
        assert!(
            heard_at_home.contains(name),
            "{name} does not sing at home: {heard_at_home:?}"
        );
    }
    assert!(sings(&stack.admin.get("/api/v1/tenants").await));
    no_stream_or_mail_sings(&alpha, &mailbox).await;
    stack.stop().await;
}

async fn no_stream_or_mail_sings(alpha: &Caller, mailbox: &Mailbox) {
    let list = alpha
        .get("/api/v1/events?since=0&limit=200")
        .await
        .expect(200);
    let count = list.json["items"].as_array().unwrap().len();
    assert!(count > 0);
    let mut stream = EventStream::open(alpha, "/api/v1/events", Some(0)).await;
    let heard = format!("{:?}", stream.take(count).await);
    assert!(!heard.contains(CANARY), "{heard}");
    for mail in mailbox.mails() {
        let text = format!("{}{}", mail.text, mail.body());
        let is_theirs = mail
            .to
            .iter()
            .any(|to| to.contains(CANARY) || to.ends_with("bravo.example"));
        assert!(is_theirs || !text.contains(CANARY), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_not_in_use_is_refused_everywhere() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let job = stack.probe(&caller, json!({})).await;
    let key = [
        ("idempotency-key", "before"),
        ("content-type", "application/json"),
    ];
    let order = json!({ "kind": "probe", "payload": {} })
        .to_string()
        .into_bytes();
    caller
        .send(Method::POST, "/api/v1/jobs", &key, Some(order.clone()))
        .await
        .expect(202);
    let jobs = stack.count("SELECT count(*) FROM jobs").await;
    let mut owner = stack.owner().await;
    for (status, dates) in [
        ("suspended", "suspended_at = now()"),
        ("active", "suspended_at = NULL"),
        ("deleted", "deleted_at = now(), purge_after = now()"),
        ("purging", "name = name"),
        ("purged", "purged_at = now()"),
    ] {
        let set = format!("UPDATE tenants SET status = '{status}', {dates} WHERE id = 'alpha'");
        sqlx::query(AssertSqlSafe(set))
            .execute(&mut owner)
            .await
            .unwrap();
        if status == "active" {
            eventually("the tenant is let in again", || async {
                let answer = caller.get(&format!("/api/v1/jobs/{job}")).await;
                (answer.status == 200).then_some(())
            })
            .await;
            continue;
        }
        refused_soon(&caller, &format!("tenant.{status}")).await;
        let all = operations(&stack).await;
        for operation in all.iter().filter(|one| one.access != "public") {
            let answer = caller
                .send(
                    operation.method.clone(),
                    &operation.at(&job, "alpha"),
                    &key,
                    Some(order.clone()),
                )
                .await
                .problem(403, &format!("tenant.{status}"));
            assert!(!answer.text.contains("alpha@"), "{}", answer.text);
        }
        bravo.get("/api/v1/jobs").await.expect(200);
        stack.admin.get("/api/v1/tenants/alpha").await.expect(200);
    }
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, jobs);
    stack.stop().await;
}

/// What the API remembers of a key's owner ends within two seconds.
async fn refused_soon(caller: &Caller, code: &str) {
    eventually(code, || async {
        let answer = caller.get("/api/v1/jobs").await;
        (answer.json["code"] == code).then_some(())
    })
    .await;
}
