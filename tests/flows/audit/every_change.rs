//! Every operation of the document that changes something leaves an entry.

use reqwest::Method;
use serde_json::{Value, json};

use super::{entries, still_stack};
use crate::{
    harness::{Caller, Stack},
    surface::operations::operations,
};

/// Operations that change nothing although their method says so, and why. This list may only shrink.
const EXCUSED: &[(&str, &str)] = &[];

/// A request that succeeds, and who sends it.
struct Change {
    caller: Caller,
    path: String,
    body: Value,
}

/// How to make an operation succeed.
async fn change(stack: &Stack, tenant: &Caller, name: &str) -> Option<Change> {
    let until = stack.clock.now() + chrono::TimeDelta::hours(1);
    let probe = json!({ "kind": "probe", "payload": {} });
    let admin = &stack.admin;
    let (caller, path, body) = match name {
        "create_tenant" => {
            let body = json!({ "id": "fresh", "name": "Fresh", "plan": "free" });
            (admin, "/api/v1/tenants".to_owned(), body)
        }
        "create_job" => (tenant, "/api/v1/jobs".to_owned(), probe),
        "create_batch" => {
            let body = json!({ "jobs": [probe, probe] });
            (tenant, "/api/v1/jobs:batch".to_owned(), body)
        }
        "cancel_job" => {
            let id = stack.probe(tenant, json!({})).await;
            (tenant, format!("/api/v1/jobs/{id}/cancel"), json!({}))
        }
        "retry_job" => {
            let id = stack.probe(tenant, json!({})).await;
            let cancel = format!("/api/v1/jobs/{id}/cancel");
            tenant.post(&cancel, &json!({})).await.expect(202);
            (tenant, format!("/api/v1/jobs/{id}/retry"), json!({}))
        }
        "cancel_jobs" => {
            stack.probe(tenant, json!({})).await;
            let body = json!({ "filter": { "kind": "probe" } });
            (tenant, "/api/v1/jobs:cancel".to_owned(), body)
        }
        "retry_jobs" => {
            let body = json!({ "filter": { "kind": "probe" } });
            (tenant, "/api/v1/jobs:retry".to_owned(), body)
        }
        "put_job_limits" => {
            let path = "/api/v1/tenants/acme/job-limits".to_owned();
            (admin, path, json!({ "max_concurrent": 1 }))
        }
        "create_switch" => (admin, "/api/v1/switches".to_owned(), switch(until)),
        "end_switch" => {
            let on = admin
                .post("/api/v1/switches", &switch(until))
                .await
                .expect(201);
            (admin, on.header("location").to_owned(), Value::Null)
        }
        "change_worker_pool" => {
            let path = "/api/v1/worker-pools/default".to_owned();
            (admin, path, json!({ "paused": false }))
        }
        "begin_act_as" => {
            let path = "/api/v1/tenants/acme/act-as".to_owned();
            (admin, path, grant())
        }
        "end_act_as" => {
            let path = "/api/v1/tenants/acme/act-as";
            let id = admin.post(path, &grant()).await.expect(201).text_of("id");
            (admin, format!("{path}/{id}"), Value::Null)
        }
        _ => return None,
    };
    Some(Change {
        caller: caller.clone(),
        path,
        body,
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
    let mut stack = still_stack().await;
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
        let Change { caller, path, body } = change.unwrap_or_else(|| {
            panic!(
                "say in this test how {} succeeds, or why it leaves no entry",
                operation.name
            )
        });
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
        let id = answer.header("x-request-id");
        let count = |told: Vec<Value>| told.iter().filter(|told| told["request_id"] == id).count();
        assert_eq!(count(entries(&caller, "").await), 1, "{}", operation.name);
        tried += 1;
    }
    assert!(tried > 10, "{tried} operations were tried");
    stack.stop().await;
}
