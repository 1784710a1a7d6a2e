//! Answers of operations, one after the other, for whoever compares them with the document.

use reqwest::Method;
use serde_json::json;
use unity_shared::tenancy::Role;

use crate::harness::{Answer, Caller, Stack};

pub async fn show_life_of_tenants(stack: &Stack, conforms: &mut impl FnMut(&str, &Answer)) {
    let admin = &stack.admin;
    stack.create_tenant("lived").await;
    let path = "/api/v1/tenants/lived";
    let usage = format!("{path}/usage");
    conforms("get_usage", &admin.get(&usage).await.expect(200));
    let smaller = json!({ "plan": "free", "resource_quota": { "users": 2 } });
    conforms(
        "change_tenant",
        &admin.patch(path, &smaller).await.expect(200),
    );
    conforms(
        "change_tenant",
        &admin.patch(path, &json!({ "name": "" })).await,
    );
    for (operation, action) in [
        ("suspend_tenant", "suspend"),
        ("suspend_tenant", "suspend"),
        ("resume_tenant", "resume"),
    ] {
        let order = json!({ "reason": "why not" });
        let answer = admin.post(&format!("{path}/{action}"), &order).await;
        conforms(operation, &answer);
    }
    let suspended = admin.get("/api/v1/tenants?status=suspended").await;
    conforms("list_tenants", &suspended.expect(200));
    conforms("delete_tenant", &admin.delete(path).await.expect(200));
    let purge = format!("{path}/purge");
    conforms(
        "purge_tenant",
        &admin.post(&purge, &json!({})).await.expect(409),
    );
    // As if its grace period were over.
    let over = "UPDATE tenants SET purge_after = now() - interval '1 s' WHERE id = 'lived'";
    let mut owner = stack.owner().await;
    sqlx::query(over).execute(&mut owner).await.unwrap();
    let restore = format!("{path}/restore");
    conforms(
        "restore_tenant",
        &admin.post(&restore, &json!({})).await.expect(409),
    );
    let ordered = admin.post(&purge, &json!({})).await.expect(202);
    conforms("purge_tenant", &ordered);
    stack.ended(admin, &ordered.text_of("id")).await;
    stack.create_tenant("restored").await;
    admin.delete("/api/v1/tenants/restored").await.expect(200);
    let restored = admin
        .post("/api/v1/tenants/restored/restore", &json!({}))
        .await;
    conforms("restore_tenant", &restored.expect(200));
}

pub async fn show_control_of_jobs(
    stack: &Stack,
    caller: &Caller,
    conforms: &mut impl FnMut(&str, &Answer),
) {
    let kept = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
    let batch = json!({ "jobs": [kept, kept] });
    let batch = caller.post("/api/v1/jobs:batch", &batch).await.expect(202);
    conforms("create_batch", &batch);
    let id = batch.json["items"][0]["id"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/jobs/{id}");
    conforms("why_job", &caller.get(&format!("{path}/why")).await);
    let nothing = json!({});
    for _ in 0..2 {
        let cancelled = caller.post(&format!("{path}/cancel"), &nothing).await;
        conforms("cancel_job", &cancelled);
        conforms("why_job", &caller.get(&format!("{path}/why")).await);
    }
    let retried = caller.post(&format!("{path}/retry"), &nothing).await;
    conforms("retry_job", &retried.expect(202));
    stack.ended(caller, &id).await;
    let refused = caller.post(&format!("{path}/retry"), &nothing).await;
    conforms("retry_job", &refused.problem(409, "job.state"));
    let filter = json!({ "filter": { "kind": "probe" } });
    for (operation, path) in [
        ("cancel_jobs", "/api/v1/jobs:cancel"),
        ("retry_jobs", "/api/v1/jobs:retry"),
        ("cancel_jobs", "/api/v1/jobs:cancel"),
    ] {
        conforms(operation, &caller.post(path, &filter).await.expect(202));
    }
}

pub async fn show_operations(stack: &Stack, conforms: &mut impl FnMut(&str, &Answer)) {
    let admin = &stack.admin;
    let limits = "/api/v1/tenants/schema/job-limits";
    conforms("get_job_limits", &admin.get(limits).await.expect(200));
    let order = json!({ "max_concurrent": 3, "per_kind": { "probe": 2 } });
    conforms(
        "put_job_limits",
        &admin.put(limits, &order).await.expect(200),
    );
    let order = json!({
        "scope": { "kind": "probe" }, "action": "drain", "reason": "shown",
        "expires_at": stack.clock.now() + chrono::TimeDelta::hours(1),
    });
    let switch = admin.post("/api/v1/switches", &order).await.expect(201);
    conforms("create_switch", &switch);
    conforms("list_switches", &admin.get("/api/v1/switches").await);
    let path = switch.header("location").to_owned();
    conforms("get_switch", &admin.get(&path).await.expect(200));
    for _ in 0..2 {
        let ended = admin.send(Method::DELETE, &path, &[], None).await;
        conforms("end_switch", &ended);
    }
    conforms(
        "list_queues",
        &admin.get("/api/v1/queues").await.expect(200),
    );
    conforms(
        "list_workers",
        &admin.get("/api/v1/workers").await.expect(200),
    );
    let pools = admin.get("/api/v1/worker-pools").await.expect(200);
    conforms("list_worker_pools", &pools);
    let reset = json!({ "concurrency": null });
    let pool = admin.patch("/api/v1/worker-pools/default", &reset).await;
    conforms("change_worker_pool", &pool.expect(200));
}

pub async fn show_credentials(
    stack: &Stack,
    caller: &Caller,
    conforms: &mut impl FnMut(&str, &Answer),
) {
    let order = json!({ "name": "shown", "scopes": ["jobs:read"] });
    let key = caller.post("/api/v1/api-keys", &order).await.expect(201);
    conforms("create_api_key", &key);
    let path = key.header("location").to_owned();
    conforms("get_api_key", &caller.get(&path).await.expect(200));
    conforms("list_api_keys", &caller.get("/api/v1/api-keys").await);
    conforms("revoke_api_key", &caller.delete(&path).await.expect(204));
    let jwks = caller.get("/.well-known/jwks.json").await.expect(200);
    conforms("get_jwks", &jwks);
    let person = stack
        .person("shown@example.com", &[("schema", Role::TenantViewer)])
        .await;
    let login = stack
        .try_log_in(&person.email, &person.password, None)
        .await;
    conforms("create_token", &login);
    let refused = stack
        .try_log_in(&person.email, "a wrong password", None)
        .await;
    conforms("create_token", &refused.problem(401, "auth.failed"));
    let refreshed = stack.refresh(&login.text_of("refresh_token")).await;
    conforms("refresh_token", &refreshed.clone().expect(200));
    let session = stack.logged_in(&refreshed);
    for caller in [caller, &session.caller] {
        conforms("get_me", &caller.get("/api/v1/auth/me").await.expect(200));
    }
    let change =
        json!({ "current_password": person.password, "new_password": "quite another one" });
    let changed = session.caller.post("/api/v1/auth/password", &change).await;
    conforms("change_password", &changed.clone().expect(200));
    let session = stack.logged_in(&changed);
    let left = session.caller.post("/api/v1/auth/logout", &json!({})).await;
    conforms("log_out", &left.expect(204));
}

pub async fn show_acting_and_audit(stack: &Stack, conforms: &mut impl FnMut(&str, &Answer)) {
    let admin = &stack.admin;
    let grants = "/api/v1/tenants/schema/act-as";
    let order = json!({ "reason": "shown", "minutes": 1, "role": "tenant-viewer" });
    let begun = admin.post(grants, &order).await.expect(201);
    conforms("begin_act_as", &begun);
    conforms("begin_act_as", &admin.post(grants, &json!({})).await);
    let acting = admin.with_key(&begun.text_of("token"));
    conforms("list_jobs", &acting.get("/api/v1/jobs").await.expect(200));
    conforms("list_act_as", &admin.get(grants).await.expect(200));
    let path = format!("{grants}/{}", begun.text_of("id"));
    for _ in 0..2 {
        conforms("end_act_as", &admin.delete(&path).await);
    }
    for of in ["", "?tenant=schema"] {
        let list = admin.get(&format!("/api/v1/audit-log{of}")).await;
        conforms("list_audit_log", &list.expect(200));
        let head = admin.get(&format!("/api/v1/audit-log/head{of}")).await;
        conforms("get_audit_log_head", &head.expect(200));
    }
    conforms(
        "list_audit_log",
        &admin.get("/api/v1/audit-log?limit=0").await,
    );
}
