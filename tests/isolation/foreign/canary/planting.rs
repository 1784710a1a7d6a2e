//! A word in every text that a tenant can choose, found in the document's schemas.

use reqwest::Method;
use serde_json::{Map, Value, json};
use unity_shared::tenancy::Role;

use super::CANARY;
use crate::{
    harness::{Answer, Caller, Mailbox, Stack, eventually},
    surface::{
        contract::schema::resolve,
        operations::{Objects, Operation, document, objects_of, operations},
    },
};

/// What is in the tenant now, and what must never be seen anywhere.
pub struct Planted {
    pub admin: Caller,
    pub objects: Objects,
    pub secrets: Vec<String>,
}

/// What a tenant, or an operator for it, can write that holds no text of the writer's, or does not stay.
const WITHOUT_TEXT: [&str; 9] = [
    "suspend_tenant",
    "resume_tenant",
    "restore_tenant",
    "change_worker_pool",
    "create_tenant",
    "create_token",
    "put_job_limits",
    "refresh_token",
    "change_password",
];
/// Fields that stand in the way of others, or name something that must be there.
const LEFT_OUT: [&str; 9] = [
    "run_at",
    "delay_seconds",
    "expires_at",
    "created_after",
    "created_before",
    "ids",
    "status",
    "scopes",
    "per_kind",
];

/// Makes tenant `bravo` and writes the canary wherever it can be written.
pub async fn plant(stack: &Stack, mailbox: &Mailbox) -> Planted {
    let order = json!({
        "id": "bravo", "name": format!("Name {CANARY}"), "plan": "pro",
        "admin_email": format!("{CANARY}@bravo.example"),
        "resource_quota": { "api_calls_per_hour": 10_000_000 },
    });
    let created = write(&stack.admin, Method::POST, "/api/v1/tenants", &order).await;
    let created = created.expect(201);
    let admin = stack.admin.with_key(&created.text_of("api_key"));
    let mut secrets = vec![
        created.text_of("api_key"),
        created.text_of("admin_password"),
    ];
    let order = json!({
        "kind": "probe", "payload": { "echo": { CANARY: CANARY }, "progress_steps": 2 },
        "resource_key": CANARY, "labels": { CANARY: CANARY },
    });
    let job = write(&admin, Method::POST, "/api/v1/jobs", &order)
        .await
        .expect(202)
        .text_of("id");
    stack.ended(&admin, &job).await;
    join(stack, mailbox, &admin).await;
    // Its jobs are paused from here on.
    let mut objects = objects_of(stack, "bravo", &admin).await;
    objects.insert("jobs", job);
    let document = document(stack).await;
    let soon = json!(stack.clock.now() + chrono::TimeDelta::hours(1));
    let mut refused = Vec::new();
    for operation in operations(stack).await {
        let writes = [Method::POST, Method::PUT, Method::PATCH].contains(&operation.method);
        if !writes || WITHOUT_TEXT.contains(&operation.name.as_str()) {
            continue;
        }
        let Some(body) = body_of(&document, &operation, &soon) else {
            continue;
        };
        let caller = if operation.access == "system-admin" {
            &stack.admin
        } else {
            &admin
        };
        let path = operation.about(&objects, &objects);
        let path = path.unwrap_or_else(|| operation.path.clone());
        let answer = write(caller, operation.method.clone(), &path, &body).await;
        if !answer.status.is_success() {
            refused.push(format!("{}: {body}: {}", operation.name, answer.text));
        }
        let hidden =
            ["api_key", "token"].map(|field| answer.json[field].as_str().map(str::to_owned));
        secrets.extend(hidden.into_iter().flatten());
    }
    assert!(refused.is_empty(), "{refused:#?}");
    for step in ["suspend", "resume"] {
        let path = format!("/api/v1/tenants/bravo/{step}");
        let reason = json!({ "reason": CANARY });
        write(&stack.admin, Method::POST, &path, &reason)
            .await
            .expect(200);
    }
    eventually("the tenant is let in again", || async {
        (admin.get("/api/v1/jobs").await.status == 200).then_some(())
    })
    .await;
    Planted {
        admin,
        objects,
        secrets,
    }
}

/// Somebody whose address, name and browser sing.
async fn join(stack: &Stack, mailbox: &Mailbox, admin: &Caller) {
    let address = format!("{CANARY}@guests.example");
    let order = json!({ "email": address, "role": "member" });
    let members = "/api/v1/tenants/bravo/members";
    write(admin, Method::POST, members, &order)
        .await
        .expect(201);
    let mail = mailbox.newest_to(&address, 1).await;
    let accept = json!({ "token": mail.token(), "name": CANARY, "password": "a long enough one" });
    let nobody = stack.admin.without_key();
    write(&nobody, Method::POST, "/api/v1/invitations/accept", &accept)
        .await
        .expect(200);
    let person = stack
        .person(
            &format!("{CANARY}-2@bravo.example"),
            &[("bravo", Role::TenantAdmin)],
        )
        .await;
    stack.log_in(&person, Some("bravo")).await;
}

/// With the canary in every header that is kept.
async fn write(caller: &Caller, method: Method, path: &str, body: &Value) -> Answer {
    let key = format!("{CANARY}-{}", uuid::Uuid::now_v7());
    let headers = [
        ("content-type", "application/json"),
        ("user-agent", CANARY),
        ("idempotency-key", &key),
    ];
    caller
        .send(method, path, &headers, Some(body.to_string().into_bytes()))
        .await
}

fn body_of(document: &Value, operation: &Operation, soon: &Value) -> Option<Value> {
    let method = operation.method.as_str().to_lowercase();
    let content = &document["paths"][&operation.path][method]["requestBody"]["content"];
    let (_, described) = content.as_object()?.iter().next()?;
    let mut body = sing(document, &described["schema"]);
    match operation.name.as_str() {
        "create_switch" => {
            body["scope"] = json!({ "tenant": "bravo" });
            body["expires_at"] = soon.clone();
        }
        // A tenant's own people change nothing but its name.
        "change_tenant" => body = json!({ "name": format!("Name {CANARY}") }),
        // Nothing is done to jobs of such a label; the filter is kept in the audit log.
        "cancel_jobs" | "retry_jobs" => body = json!({ "filter": { "label": { CANARY: CANARY } } }),
        // Who comes in has come in before.
        "accept_invitation" => return None,
        _ => {}
    }
    Some(body)
}

/// A value with the canary in every text.
fn sing(document: &Value, schema: &Value) -> Value {
    let schema = resolve(document, schema);
    for choice in ["oneOf", "anyOf"] {
        let mut choices = schema[choice].as_array().into_iter().flatten();
        if let Some(one) = choices.find(|one| one["type"] != "null") {
            return sing(document, one);
        }
    }
    if let Some(value) = schema["enum"].get(0) {
        return value.clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.iter().find(|kind| **kind != "null"),
        kind => Some(kind),
    };
    match kind.and_then(Value::as_str) {
        Some("array") => json!([sing(document, &schema["items"])]),
        Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(json!(1)),
        Some("boolean") => json!(true),
        Some("string") => match schema["format"].as_str() {
            Some("email") => json!(format!("{CANARY}@more.example")),
            _ if schema["pattern"]
                .as_str()
                .is_some_and(|text| text.contains("https")) =>
            {
                json!(format!("https://{CANARY}.example"))
            }
            _ => json!(CANARY),
        },
        _ => object(document, schema),
    }
}

fn object(document: &Value, schema: &Value) -> Value {
    if schema["propertyNames"].is_object() {
        return json!({ CANARY: CANARY });
    }
    let mut fields = Map::new();
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        let value = match name.as_str() {
            name if LEFT_OUT.contains(&name) => continue,
            "kind" => json!("probe"),
            "payload" => json!({ "echo": { CANARY: CANARY }, "progress_steps": 2 }),
            "email_domains" => json!([format!("{CANARY}.example")]),
            _ => sing(document, field),
        };
        fields.insert(name.clone(), value);
    }
    Value::Object(fields)
}
