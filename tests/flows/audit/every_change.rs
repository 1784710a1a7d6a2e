//! Every operation of the document that changes something leaves an entry.

mod credentials;
mod tenants;

use reqwest::Method;
use serde_json::{Value, json};

use super::entries;
use crate::{
    harness::{Caller, Stack},
    surface::operations::operations,
};

/// Operations that change nothing although their method says so, and why. This list may only shrink.
const EXCUSED: &[(&str, &str)] = &[];

/// A request that succeeds, who sends it, and who reads of it.
struct Change {
    caller: Caller,
    reader: Caller,
    path: String,
    body: Value,
}

impl Change {
    /// A request whose sender finds it in their own log.
    fn by(caller: &Caller, path: impl Into<String>, body: Value) -> Self {
        Self {
            caller: caller.clone(),
            reader: caller.clone(),
            path: path.into(),
            body,
        }
    }

    /// The same, in the log of somebody else.
    fn told_to(self, reader: &Caller) -> Self {
        Self {
            reader: reader.clone(),
            ..self
        }
    }
}

/// How to make an operation succeed.
async fn change(stack: &Stack, tenant: &Caller, name: &str) -> Option<Change> {
    if let Some(change) = of_jobs(stack, tenant, name).await {
        return Some(change);
    }
    if let Some(change) = tenants::change(stack, name).await {
        return Some(change);
    }
    if let Some(change) = credentials::change(stack, tenant, name).await {
        return Some(change);
    }
    let until = stack.clock.now() + chrono::TimeDelta::hours(1);
    let admin = &stack.admin;
    Some(match name {
        "create_switch" => Change::by(admin, "/api/v1/switches", switch(until)),
        "end_switch" => {
            let on = admin
                .post("/api/v1/switches", &switch(until))
                .await
                .expect(201);
            Change::by(admin, on.header("location"), Value::Null)
        }
        "change_worker_pool" => {
            let order = json!({ "paused": false });
            Change::by(admin, "/api/v1/worker-pools/default", order)
        }
        "begin_act_as" => Change::by(admin, "/api/v1/tenants/acme/act-as", grant()),
        "end_act_as" => {
            let path = "/api/v1/tenants/acme/act-as";
            let id = admin.post(path, &grant()).await.expect(201).text_of("id");
            Change::by(admin, format!("{path}/{id}"), Value::Null)
        }
        _ => return None,
    })
}

async fn of_jobs(stack: &Stack, tenant: &Caller, name: &str) -> Option<Change> {
    let probe = json!({ "kind": "probe", "payload": {} });
    Some(match name {
        "create_job" => Change::by(tenant, "/api/v1/jobs", probe),
        "create_batch" => {
            let body = json!({ "jobs": [probe, probe] });
            Change::by(tenant, "/api/v1/jobs:batch", body)
        }
        "cancel_job" => {
            let id = stack.probe(tenant, json!({})).await;
            Change::by(tenant, format!("/api/v1/jobs/{id}/cancel"), json!({}))
        }
        "retry_job" => {
            let id = stack.probe(tenant, json!({})).await;
            let cancel = format!("/api/v1/jobs/{id}/cancel");
            tenant.post(&cancel, &json!({})).await.expect(202);
            Change::by(tenant, format!("/api/v1/jobs/{id}/retry"), json!({}))
        }
        "cancel_jobs" => {
            stack.probe(tenant, json!({})).await;
            let body = json!({ "filter": { "kind": "probe" } });
            Change::by(tenant, "/api/v1/jobs:cancel", body)
        }
        "retry_jobs" => {
            let body = json!({ "filter": { "kind": "probe" } });
            Change::by(tenant, "/api/v1/jobs:retry", body)
        }
        _ => return None,
    })
}

fn switch(until: chrono::DateTime<chrono::Utc>) -> Value {
    json!({
        "scope": { "tenant": "acme" }, "action": "pause", "reason": "test", "expires_at": until,
    })
}

fn grant() -> Value {
    json!({ "reason": "a ticket", "minutes": 5, "role": "tenant-viewer" })
}

#[tokio::test(flavor = "multi_thread")]
async fn each_operation_that_changes_something_leaves_exactly_one_entry() {
    let mut stack = Stack::still().await;
    // A pool exists when a worker of it was seen.
    let shutdown = tokio_util::sync::CancellationToken::new();
    stack.start_worker(shutdown.clone()).await;
    crate::harness::eventually("the pool is known", || async {
        let pools = stack.admin.get("/api/v1/worker-pools").await.expect(200);
        (pools.json["items"][0]["pool"] == "default").then_some(())
    })
    .await;
    shutdown.cancel();
    let tenant = stack.create_tenant("acme").await;
    let mut tried = 0;
    for operation in operations(&stack).await {
        let excused = EXCUSED.iter().any(|(name, _)| *name == operation.name);
        if [Method::GET, Method::HEAD].contains(&operation.method) || excused {
            continue;
        }
        let change = change(&stack, &tenant, &operation.name).await;
        let Change {
            caller,
            reader,
            path,
            body,
        } = change.unwrap_or_else(|| {
            panic!(
                "say in this test how {} succeeds, or why it leaves no entry",
                operation.name
            )
        });
        // What was ordered on the way is not told together with this.
        stack.told().await;
        let headers = [("content-type", "application/json")];
        let body = (!body.is_null()).then(|| body.to_string().into_bytes());
        let answer = caller
            .send(operation.method.clone(), &path, &headers, body)
            .await;
        assert!(
            answer.status.is_success(),
            "{}: {}",
            operation.name,
            answer.text
        );
        stack.told().await;
        let id = answer.header("x-request-id");
        let mut told = entries(&reader, "").await;
        told.retain(|told| told["request_id"] == id);
        assert_eq!(told.len(), 1, "{}: {told:#?}", operation.name);
        assert_eq!(told[0]["result"], "succeeded", "{}", operation.name);
        tried += 1;
    }
    assert!(tried > 30, "{tried} operations were tried");
    stack.stop().await;
}
