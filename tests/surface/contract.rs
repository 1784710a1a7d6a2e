//! The published contract: the document, and answers that are what it says.

mod people;
pub mod schema;
mod shows;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use self::{
    people::show_people,
    shows::{
        show_acting_and_audit, show_control_of_jobs, show_credentials, show_life_of_tenants,
        show_operations,
    },
};
use super::{
    operations::{document, operations},
    roles::admits,
};
use crate::harness::{Answer, Caller, Stack, tenant_body};

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_openapi_3_1_and_names_a_rule_for_each_operation() {
    let stack = Stack::still().await;
    let answer = stack
        .admin
        .without_key()
        .get("/openapi.json")
        .await
        .expect(200);
    assert_eq!(answer.header("content-type"), "application/json");
    let document = answer.json;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let mut names = BTreeSet::new();
    for operation in operations(&stack).await {
        assert!(
            names.insert(operation.name.clone()),
            "two operations are {}",
            operation.name
        );
        let method = operation.method.as_str().to_lowercase();
        let described = &document["paths"][&operation.path][method];
        let schemes = described["security"].as_array().unwrap();
        let is_public = operation.access == "public";
        assert_eq!(schemes.is_empty(), is_public, "{}", operation.name);
        for scheme in schemes
            .iter()
            .flat_map(|scheme| scheme.as_object().unwrap().keys())
        {
            let declared = &document["components"]["securitySchemes"][scheme];
            assert_eq!(declared["type"], "http", "{}", operation.name);
        }
        let guarded = ["401", "403"].into_iter().filter(|_| !is_public);
        for status in guarded.chain(["default"]) {
            let problem = &described["responses"][status]["content"];
            assert!(
                problem["application/problem+json"].is_object(),
                "{}: {status}",
                operation.name
            );
        }
        let is_in_place = operation.path.starts_with("/api/v1/");
        // RFC 8615: what other programs look for has its place outside.
        let is_well_known = operation.path.starts_with("/.well-known/") && is_public;
        assert!(is_in_place || is_well_known, "{}", operation.path);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_refuses_a_request_without_a_key_or_with_garbage() {
    let stack = Stack::still().await;
    let nobody = stack.admin.without_key();
    let all = operations(&stack).await;
    for operation in all.iter().filter(|one| one.access != "public") {
        for caller in [
            nobody.clone(),
            nobody.with_key("garbage"),
            nobody.with_key("uk_acme_x"),
        ] {
            let path = operation.at("0198c0de-0000-7000-8000-000000000001", "acme");
            let answer = caller
                .send(operation.method.clone(), &path, &[], None)
                .await;
            let answer = answer.problem(401, "auth.required");
            assert_eq!(
                answer.header("www-authenticate"),
                "Bearer",
                "{}",
                operation.name
            );
            assert_eq!(
                answer.header("cache-control"),
                "no-store",
                "{}",
                operation.name
            );
        }
    }
    stack.stop().await;
}

/// The rule as the document states it, against what a request of each role gets: a rule that is only
/// written down is found here.
#[tokio::test(flavor = "multi_thread")]
async fn every_operation_lets_in_the_roles_that_the_document_names() {
    let stack = Stack::still().await;
    let created = stack
        .admin
        .post("/api/v1/tenants", &tenant_body("acme"))
        .await;
    // What only operators may do is done to another tenant: the callers' own must stay in use.
    stack.create_tenant("beside").await;
    // One that administrators reach too: the platform carries it out.
    let job = created.expect(201).text_of("job_id");
    let mut callers: Vec<(&str, Caller)> = vec![("system-admin", stack.admin.clone())];
    for role in [Role::TenantViewer, Role::TenantMember, Role::TenantAdmin] {
        callers.push((role.as_str(), stack.caller_with_role("acme", role).await));
    }
    let mut lines = Vec::new();
    for operation in operations(&stack).await {
        let subject = if operation.access == "system-admin" {
            "beside"
        } else {
            "acme"
        };
        let mut line = format!("{} {}:", operation.method, operation.path);
        for (role, caller) in &callers {
            let allowed = admits(&operation.access, role, false);
            let headers = [("content-type", "application/json")];
            let body = (operation.method == Method::POST).then(|| b"{}".to_vec());
            let answer = caller
                .send(
                    operation.method.clone(),
                    &operation.at(&job, subject),
                    &headers,
                    body,
                )
                .await;
            let let_in = answer.status != 403 && answer.status != 401;
            // Where everybody may come, a 401 is about what they brought.
            let let_in = let_in || operation.access == "public";
            assert_eq!(
                let_in, allowed,
                "{role} at {}: {}",
                operation.name, answer.text
            );
            line = format!("{line} {role} {}", answer.status.as_u16());
        }
        lines.push(line);
    }
    insta::assert_snapshot!(lines.join("\n"));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_the_document_is_served_and_asks_nobody_else_for_anything() {
    let stack = Stack::still().await;
    let nobody = stack.admin.without_key();
    let page = nobody.get("/docs").await.expect(200);
    assert!(
        page.header("content-type").starts_with("text/html"),
        "{}",
        page.text
    );
    let mut parts = vec![("/docs/".to_owned(), page.clone())];
    for source in attributes(&page.text) {
        let path = format!("/docs/{}", source.trim_start_matches("./"));
        parts.push((path.clone(), nobody.get(&path).await.expect(200)));
    }
    assert!(
        parts.len() > 3,
        "a page without its scripts and styles shows nothing"
    );
    assert!(
        parts
            .iter()
            .any(|(_, part)| part.text.contains("/openapi.json"))
    );
    for (path, part) in &parts {
        let policy = part.header("content-security-policy");
        assert!(policy.contains("default-src 'self'"), "{path}: {policy}");
        assert!(
            !policy.contains("http") && !policy.contains('*'),
            "{path}: {policy}"
        );
    }
    // The library's own bundle holds addresses as text; what is ours to set must hold none.
    for (path, part) in parts
        .iter()
        .filter(|(path, _)| path.ends_with('/') || path.contains("initializer"))
    {
        for outside in ["http://", "https://", "src=\"//", "href=\"//"] {
            assert!(
                !part.text.contains(outside),
                "{path} refers to {outside}: {}",
                part.text
            );
        }
    }
    stack.stop().await;
}

/// The values of `src` and `href` in a page.
fn attributes(html: &str) -> Vec<String> {
    let mut found = Vec::new();
    for attribute in ["src=\"", "href=\""] {
        for rest in html.split(attribute).skip(1) {
            found.push(rest.split('"').next().unwrap().to_owned());
        }
    }
    found
}

/// Replaces what differs from run to run, so that names, order of nesting, types and nulls are left.
fn redact(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields {
                match (name.as_str(), &field) {
                    (
                        "api_key" | "admin_password" | "request_id" | "uid" | "worker"
                        | "next_page_token",
                        Value::String(_),
                    ) => {
                        *field = json!(format!("[{name}]"));
                    }
                    (name, Value::String(_)) if name.ends_with("_at") => *field = json!("[time]"),
                    _ => redact(field),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        Value::String(text) => *text = without_ids(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn without_ids(text: &str) -> String {
    let parts = text.split('/').map(|part| {
        if part.parse::<uuid::Uuid>().is_ok() {
            "[id]"
        } else {
            part
        }
    });
    parts.collect::<Vec<_>>().join("/")
}

fn redacted(answer: &Answer) -> Value {
    let mut value = answer.json.clone();
    redact(&mut value);
    value
}

async fn order(caller: &Caller, order: &Value) -> Answer {
    caller.post("/api/v1/jobs", order).await.expect(202)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_has_the_fields_of_the_contract_in_every_state() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("fields").await;
    let full = json!({
        "kind": "probe", "payload": { "echo": { "n": 1 }, "progress_steps": 1 }, "priority": 9, "timeout_seconds": 30,
        "max_attempts": 3, "resource_key": "r", "labels": { "team": "a" }
    });
    let succeeded = order(&caller, &full).await.text_of("id");
    let failed = json!({ "kind": "probe", "payload": { "fatal": true } });
    let failed = order(&caller, &failed).await.text_of("id");
    let later = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
    let scheduled = order(&caller, &later).await;
    let mut shown = BTreeMap::from([("scheduled", redacted(&scheduled))]);
    let mut names = BTreeSet::from([fields(&scheduled.json)]);
    for (state, id) in [("succeeded", &succeeded), ("failed", &failed)] {
        stack.ended(&caller, id).await;
        let job = caller.get(&format!("/api/v1/jobs/{id}")).await.expect(200);
        names.insert(fields(&job.json));
        shown.insert(state, redacted(&job));
    }
    assert_eq!(
        names.len(),
        1,
        "a field that is not there in every state: {names:?}"
    );
    insta::assert_json_snapshot!("job", shown);
    let attempts = caller
        .get(&format!("/api/v1/jobs/{failed}/attempts"))
        .await
        .expect(200);
    insta::assert_json_snapshot!("attempts", redacted(&attempts));
    stack.stop().await;
}

fn fields(job: &Value) -> Vec<String> {
    job.as_object().unwrap().keys().cloned().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_and_problems_have_the_fields_of_the_contract() {
    let stack = Stack::still().await;
    let body = json!({ "id": "shape", "name": "Shape", "plan": "pro", "resource_quota": { "cpu_cores": 7 } });
    let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    insta::assert_json_snapshot!("tenant_created", redacted(&created));
    let tenant = stack.admin.get("/api/v1/tenants/shape").await.expect(200);
    assert_eq!(tenant.header("etag"), "\"v1\"");
    insta::assert_json_snapshot!("tenant", redacted(&tenant));
    let member = stack.admin.with_key(&created.text_of("api_key"));
    let order = json!({ "kind": "probe", "payload": {}, "priority": 10 });
    let problem = member
        .post("/api/v1/jobs", &order)
        .await
        .problem(422, "validation.failed");
    insta::assert_json_snapshot!("problem", redacted(&problem));
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_created_thing_says_where_it_is_and_is_kept_by_no_cache() {
    let stack = Stack::still().await;
    let created = stack
        .admin
        .post(
            "/api/v1/tenants",
            &json!({ "id": "headers", "name": "Headers" }),
        )
        .await
        .expect(201);
    assert_eq!(
        created.header("location"),
        format!("/api/v1/jobs/{}", created.text_of("job_id"))
    );
    let caller = stack.admin.with_key(&created.text_of("api_key"));
    let accepted = order(&caller, &json!({ "kind": "probe", "payload": {} })).await;
    let location = accepted.header("location").to_owned();
    assert_eq!(location, format!("/api/v1/jobs/{}", accepted.text_of("id")));
    assert!(accepted.header("retry-after").parse::<u32>().unwrap() >= 1);
    let followed = caller.get(&location).await.expect(200);
    assert_eq!(
        followed.json, accepted.json,
        "what was accepted is what is there"
    );
    for answer in [&created, &accepted, &followed] {
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), "application/json");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("x-request-id").parse::<uuid::Uuid>().is_ok());
    }
    let problem = caller
        .get("/api/v1/jobs/none")
        .await
        .problem(404, "not_found");
    assert_eq!(
        problem.header("x-request-id"),
        problem.text_of("request_id")
    );
    let claimed = [("x-request-id", "0198c0de-0000-7000-8000-000000000001")];
    let answer = caller
        .send(Method::GET, "/api/v1/jobs", &claimed, None)
        .await
        .expect(200);
    assert_ne!(
        answer.header("x-request-id"),
        claimed[0].1,
        "a caller names no request of ours"
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operations_answer_is_what_its_schema_says() {
    let stack = Stack::start().await;
    let document = document(&stack).await;
    let mut shown = BTreeSet::new();
    let mut conforms = |operation: &str, answer: &Answer| {
        schema::check(&document, operation, answer);
        shown.insert(operation.to_owned());
    };
    let created = stack
        .admin
        .post("/api/v1/tenants", &tenant_body("schema"))
        .await
        .expect(201);
    conforms("create_tenant", &created);
    conforms("list_tenants", &stack.admin.get("/api/v1/tenants").await);
    conforms(
        "get_tenant",
        &stack.admin.get("/api/v1/tenants/schema").await,
    );
    conforms(
        "get_tenant",
        &stack.admin.get("/api/v1/tenants/nobody").await,
    );
    let caller = stack.admin.with_key(&created.text_of("api_key"));
    let fails = json!({ "kind": "probe", "payload": { "fail_attempts": 1, "progress_steps": 1 } });
    let job = order(&caller, &fails).await;
    conforms("create_job", &job);
    conforms("create_job", &caller.post("/api/v1/jobs", &json!({})).await);
    let batch = json!({ "jobs": [{ "kind": "probe", "payload": {} }] });
    conforms(
        "create_batch",
        &caller.post("/api/v1/jobs:batch", &batch).await,
    );
    conforms(
        "create_batch",
        &caller
            .post("/api/v1/jobs:batch", &json!({ "jobs": [] }))
            .await,
    );
    let path = format!("/api/v1/jobs/{}", job.text_of("id"));
    stack.ended(&caller, &job.text_of("id")).await;
    conforms("get_job", &caller.get(&path).await);
    conforms("get_job", &caller.get(&format!("{path}?wait=99")).await);
    conforms(
        "list_job_attempts",
        &caller.get(&format!("{path}/attempts")).await,
    );
    conforms(
        "list_job_events",
        &caller.get(&format!("{path}/events")).await,
    );
    for since in ["", "?since=0", "?since=99", "?since=x"] {
        let events = caller.get(&format!("/api/v1/events{since}")).await;
        conforms("list_events", &events);
    }
    conforms("list_jobs", &caller.get("/api/v1/jobs").await);
    conforms("list_jobs", &caller.without_key().get("/api/v1/jobs").await);
    conforms("list_job_kinds", &caller.get("/api/v1/job-kinds").await);
    show_control_of_jobs(&stack, &caller, &mut conforms).await;
    show_operations(&stack, &mut conforms).await;
    show_people(&stack, &caller, &mut conforms).await;
    show_credentials(&stack, &caller, &mut conforms).await;
    show_life_of_tenants(&stack, &mut conforms).await;
    show_acting_and_audit(&stack, &mut conforms).await;
    let all: BTreeSet<String> = operations(&stack)
        .await
        .into_iter()
        .map(|one| one.name)
        .collect();
    assert_eq!(shown, all, "an operation without an answer to look at");
    stack.finish().await;
}
