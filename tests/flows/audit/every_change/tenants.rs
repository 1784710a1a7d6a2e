//! How what changes tenants succeeds.

use serde_json::{Value, json};

use super::Change;
use crate::harness::Stack;

pub async fn change(stack: &Stack, name: &str) -> Option<Change> {
    let admin = &stack.admin;
    // A tenant of its own for each step: no step follows another's.
    let before: &[&str] = match name {
        "create_tenant" => {
            let body = json!({ "id": "fresh", "name": "Fresh", "plan": "free" });
            return Some(Change::by(admin, "/api/v1/tenants", body));
        }
        "put_job_limits" => {
            let path = "/api/v1/tenants/acme/job-limits";
            return Some(Change::by(admin, path, json!({ "max_concurrent": 1 })));
        }
        "change_tenant" | "suspend_tenant" | "delete_tenant" => &[],
        "resume_tenant" => &["suspend"],
        "restore_tenant" | "purge_tenant" => &["delete"],
        _ => return None,
    };
    let id = name.replace('_', "-");
    stack.create_tenant(&id).await;
    let path = format!("/api/v1/tenants/{id}");
    for step in before {
        match *step {
            "delete" => admin.delete(&path).await.expect(200),
            step => admin
                .post(&format!("{path}/{step}"), &json!({}))
                .await
                .expect(200),
        };
    }
    Some(match name {
        "change_tenant" => Change::by(admin, path, json!({ "name": "Renamed", "plan": "free" })),
        "delete_tenant" => Change::by(admin, path, Value::Null),
        "purge_tenant" => {
            stack
                .change("UPDATE tenants SET purge_after = deleted_at WHERE id = 'purge-tenant'")
                .await;
            Change::by(admin, format!("{path}/purge"), Value::Null)
        }
        step => {
            let (step, _) = step.split_once('_').unwrap();
            Change::by(admin, format!("{path}/{step}"), json!({ "reason": "test" }))
        }
    })
}
