//! When the grace period is over, nothing of a tenant is left but its tombstone.

use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api,
    api::{Patch, PatchParams},
};
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use unity_scheduler::run_all_once;
use unity_shared::{
    ids::TenantId,
    jobs::select_queued_page,
    queue::ShardId,
    tenancy::{PURGED_TABLES, TenantStatus, find_purgeable, purge_rows, start_purge},
};

use super::processes::spawn;
use crate::harness::{Stack, StackOptions, eventually};

/// Three people of `gone`: one belongs to `stays` too, and one administers the platform. Both tenants get
/// a row in each table that has none by itself.
const PEOPLE: &str = "
    INSERT INTO users (id, email, password_hash, must_change_password, created_at)
    VALUES ('0198c0de-0000-7000-8000-0000000000a1', 'only@gone.example', 'x', false, now()),
           ('0198c0de-0000-7000-8000-0000000000a2', 'both@example.com', 'x', false, now()),
           ('0198c0de-0000-7000-8000-0000000000a3', 'root@example.com', 'x', false, now());
    UPDATE users SET platform_role = 'system-admin' WHERE email = 'root@example.com';
    INSERT INTO memberships (tenant_id, user_id, role, created_at)
    VALUES ('gone', '0198c0de-0000-7000-8000-0000000000a1', 'tenant-member', now()),
           ('gone', '0198c0de-0000-7000-8000-0000000000a2', 'tenant-member', now()),
           ('gone', '0198c0de-0000-7000-8000-0000000000a3', 'tenant-member', now()),
           ('stays', '0198c0de-0000-7000-8000-0000000000a2', 'tenant-viewer', now());
    INSERT INTO job_attempts (tenant_id, job_id, fence, number, worker_id, started_at, finished_at, outcome)
    SELECT tenant_id, id, 99, 1, gen_random_uuid(), now(), now(), 'retried' FROM jobs;
    INSERT INTO identity_providers (tenant_id, issuer, client_id, sealed_secret, created_at, updated_at)
    VALUES ('gone', 'i', 'c', 'x', now(), now()), ('stays', 'i', 'c', 'x', now(), now());
    INSERT INTO sign_ins (tenant_id, state_hash, browser_hash, expires_at)
    VALUES ('gone', 'x', 'x', now()), ('stays', 'x', 'x', now());
    INSERT INTO identities (tenant_id, issuer, subject, user_id, created_at)
    VALUES ('gone', 'i', 's', '0198c0de-0000-7000-8000-0000000000a1', now()),
           ('stays', 'i', 's', '0198c0de-0000-7000-8000-0000000000a2', now());
    INSERT INTO invitations (tenant_id, id, email, role, token_hash, created_at, expires_at)
    VALUES ('gone', gen_random_uuid(), 'a@example.com', 'tenant-viewer', 'g', now(), now()),
           ('stays', gen_random_uuid(), 'a@example.com', 'tenant-viewer', 's', now(), now());
    INSERT INTO act_as_grants (tenant_id, id, actor_kind, actor_id, actor_display, role, reason, token_hash, created_at,
                               expires_at)
    SELECT id, gen_random_uuid(), 'api_key', gen_random_uuid(), 'a', 'tenant-viewer', 'a ticket', id::bytea, now(),
           now() + interval '1 minute' FROM tenants WHERE id IN ('gone', 'stays');
    INSERT INTO idempotency_keys (tenant_id, key, fingerprint, status, response, created_at)
    VALUES ('gone', 'k', 'x', 202, '{}', now()), ('stays', 'k', 'x', 202, '{}', now())";

/// Both tenants have a row in every table, a namespace, and jobs that wait.
async fn two_tenants(options: StackOptions) -> Stack {
    let stack = Stack::start_with(StackOptions {
        tenant_grace: Duration::from_millis(1),
        ..options
    })
    .await;
    for id in ["gone", "stays"] {
        let caller = stack.create_tenant(id).await;
        let provision = json!({ "kind": "provision_namespace", "payload": {} });
        caller.post("/api/v1/jobs", &provision).await.expect(202);
        let switch = json!({
            "scope": { "tenant": id, "kind": "probe" }, "action": "pause", "reason": "waits",
            "expires_at": stack.clock.now() + chrono::TimeDelta::hours(1),
        });
        stack
            .admin
            .post("/api/v1/switches", &switch)
            .await
            .expect(201);
        for _ in 0..3 {
            let body = json!({ "kind": "probe", "payload": {}, "resource_key": "k" });
            caller.post("/api/v1/jobs", &body).await.expect(202);
        }
        let later = json!({ "kind": "probe", "payload": {}, "delay_seconds": 3600 });
        caller.post("/api/v1/jobs", &later).await.expect(202);
    }
    eventually("both namespaces are provisioned", || async {
        let left =
            "SELECT count(*) FROM jobs WHERE kind = 'provision_namespace' AND finished_at IS NULL";
        (stack.count(left).await == 0).then_some(())
    })
    .await;
    sqlx::raw_sql(PEOPLE)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    stack
}

async fn rows(stack: &Stack, table: &str, tenant: &str) -> i64 {
    let sql = format!("SELECT count(*) FROM {table} WHERE tenant_id = '{tenant}'");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(&mut stack.owner().await)
        .await
        .unwrap()
}

async fn redis_keys(stack: &Stack) -> Vec<String> {
    let mut connection = stack.gate.connection();
    let pattern = format!("*{}:*", stack.name);
    redis::cmd("KEYS")
        .arg(pattern)
        .query_async(&mut connection)
        .await
        .unwrap()
}

async fn seconds_left(stack: &Stack, key: &str) -> i64 {
    let mut connection = stack.gate.connection();
    redis::cmd("TTL")
        .arg(key)
        .query_async(&mut connection)
        .await
        .unwrap()
}

async fn fields(stack: &Stack, hash: &str) -> Vec<String> {
    let key = redis_keys(stack)
        .await
        .into_iter()
        .find(|key| key.ends_with(hash));
    let Some(key) = key else { return Vec::new() };
    redis::cmd("HKEYS")
        .arg(key)
        .query_async(&mut stack.gate.connection())
        .await
        .unwrap()
}

async fn status(stack: &Stack, tenant: &str) -> Value {
    let path = format!("/api/v1/tenants/{tenant}");
    stack.admin.get(&path).await.expect(200).json["status"].clone()
}

async fn is_purged(stack: &Stack) {
    eventually("the tenant is purged", || async {
        (status(stack, "gone").await == "purged").then_some(())
    })
    .await;
}

/// Everything of `gone` is gone, and everything of `stays` is there.
async fn nothing_is_left(stack: &Stack) {
    for table in PURGED_TABLES {
        assert_eq!(rows(stack, table, "gone").await, 0, "{table}");
        // A sign-in that was used is remembered for minutes, whoever's it is.
        if *table != "sign_ins" {
            assert!(rows(stack, table, "stays").await > 0, "{table}");
        }
    }
    // Who did what is not forgotten with the tenant, and ends with its end.
    let log = stack.admin.get("/api/v1/audit-log?tenant=gone").await;
    let log = log.expect(200).json;
    assert_eq!(log["items"][0]["action"], "tenant.purge", "{log}");
    assert_eq!(log["items"][0]["actor_id"], "worker", "{log}");
    assert!(log["items"].as_array().unwrap().len() > 5, "{log}");
    let mut owner = stack.owner().await;
    let people: Vec<String> = sqlx::query_scalar("SELECT email FROM users ORDER BY email")
        .fetch_all(&mut owner)
        .await
        .unwrap();
    let stay = ["admin@stays.com", "both@example.com", "root@example.com"];
    assert_eq!(people, stay);
    for key in redis_keys(stack).await {
        if key.contains(":tenant:gone:api_calls:") {
            // How often it called lately: a number that goes by itself.
            assert!(
                (1..=7200).contains(&seconds_left(stack, &key).await),
                "{key}"
            );
            continue;
        }
        assert!(!key.split(':').any(|part| part == "gone"), "{key}");
    }
    for hash in [":limits", ":vtime:default", ":jobs", ":cost", ":paused"] {
        for field in fields(stack, hash).await {
            assert!(
                !field.split('\t').any(|part| part == "gone"),
                "{hash} {field}"
            );
        }
    }
    let kube = stack.cluster.kube().await;
    let namespaces = Api::<Namespace>::all(kube);
    assert!(namespaces.get_opt("tenant-gone").await.unwrap().is_none());
    assert!(namespaces.get_opt("tenant-stays").await.unwrap().is_some());
    let tombstone = stack
        .admin
        .get("/api/v1/tenants/gone")
        .await
        .expect(200)
        .json;
    assert_eq!(
        (&tombstone["status"], &tombstone["name"]),
        (&json!("purged"), &json!("purged"))
    );
    let listed = stack.admin.get("/api/v1/tenants").await.expect(200);
    assert!(!listed.text.contains("gone"), "{}", listed.text);
    let again = crate::harness::tenant_body("gone");
    stack
        .admin
        .post("/api/v1/tenants", &again)
        .await
        .problem(409, "tenant.exists");
    stack
        .admin
        .post("/api/v1/tenants/gone/restore", &json!({}))
        .await
        .problem(409, "tenant.state");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_tenant_is_purged_by_one_job_of_the_platform_and_leaves_nothing() {
    let stack = two_tenants(StackOptions::default()).await;
    stack.admin.delete("/api/v1/tenants/gone").await.expect(200);
    let context = stack.context();
    let (first, second) = tokio::join!(run_all_once(&context), run_all_once(&context));
    first.unwrap();
    second.unwrap();
    is_purged(&stack).await;
    let orders = "SELECT count(*) FROM jobs WHERE kind = 'hard_delete_tenant'";
    let id: uuid::Uuid =
        sqlx::query_scalar("SELECT id FROM jobs WHERE kind = 'hard_delete_tenant'")
            .fetch_one(&mut stack.owner().await)
            .await
            .unwrap();
    let job = stack.ended(&stack.admin, &id.to_string()).await;
    assert_eq!(
        (&job["tenant_id"], &job["status"]),
        (&json!("platform"), &json!("succeeded"))
    );
    assert!(
        job["result"]["rows"]["events"].as_i64().unwrap() > 0,
        "{job}"
    );
    nothing_is_left(&stack).await;
    stack.tick().await;
    assert_eq!(stack.count(orders).await, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_that_is_run_again_or_killed_in_the_middle_comes_to_the_same_end() {
    let stack = two_tenants(StackOptions {
        scheduler: false,
        ..StackOptions::default()
    })
    .await;
    // A namespace that somebody holds keeps the purge in its middle.
    let namespaces = Api::<Namespace>::all(stack.cluster.kube().await);
    let hold = |finalizers: Value| {
        let namespaces = namespaces.clone();
        async move {
            let patch = json!({ "metadata": { "finalizers": finalizers } });
            namespaces
                .patch("tenant-gone", &PatchParams::default(), &Patch::Merge(patch))
                .await
                .unwrap();
        }
    };
    hold(json!(["example.com/hold"])).await;
    stack.admin.delete("/api/v1/tenants/gone").await.expect(200);
    let order = stack
        .admin
        .post("/api/v1/tenants/gone/purge", &json!({}))
        .await
        .expect(202)
        .text_of("id");
    let again = stack
        .admin
        .post("/api/v1/tenants/gone/purge", &json!({}))
        .await
        .expect(202)
        .text_of("id");
    eventually("the namespace is being deleted", || async {
        stack.tick().await;
        let found = namespaces.get("tenant-gone").await.unwrap();
        (found.metadata.deletion_timestamp.is_some() && status(&stack, "gone").await == "purging")
            .then_some(())
    })
    .await;
    // Part of the rows goes, as if a run had died among them.
    let tenant = TenantId::parse("gone").unwrap();
    let mut tx = stack.database.purger().statement().await.unwrap();
    assert!(purge_rows(&mut tx, "events", &tenant, 1).await.unwrap() == 1);
    drop(tx);
    // Two worker processes, one of which is killed while the job goes from one to the other.
    let (mut killed, _one) = spawn(&stack, &["worker"]).await;
    let (_other, _two) = spawn(&stack, &["worker"]).await;
    eventually("the purge is snoozed again", || async {
        stack.tick().await;
        let attempts = stack
            .admin
            .get(&format!("/api/v1/jobs/{order}/attempts"))
            .await
            .expect(200);
        (attempts.json["items"].as_array().unwrap().len() >= 2).then_some(())
    })
    .await;
    killed.kill().await.unwrap();
    hold(json!([])).await;
    for id in [&order, &again] {
        let job = eventually("the purge ends", || async {
            stack.tick().await;
            let job = stack
                .admin
                .get(&format!("/api/v1/jobs/{id}"))
                .await
                .expect(200)
                .json;
            job["finished_at"].is_string().then_some(job)
        })
        .await;
        assert_eq!(job["status"], "succeeded", "{job}");
    }
    nothing_is_left(&stack).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_deleted_tenant_whose_grace_is_over_is_purged_and_only_its_rows() {
    let stack = Stack::still().await;
    for id in ["alive", "alph", "alpha", "alpha-b"] {
        stack.create_tenant(id).await;
    }
    let purger = || async { stack.database.purger().statement().await.unwrap() };
    let alive = TenantId::parse("alive").unwrap();
    let alpha = TenantId::parse("alpha").unwrap();
    let platform = TenantId::platform();
    let now = stack.clock.now();
    assert!(!start_purge(&mut purger().await, &alive, now).await.unwrap());
    stack
        .admin
        .post("/api/v1/tenants/alive/purge", &json!({}))
        .await
        .problem(409, "tenant.state");
    stack
        .admin
        .delete("/api/v1/tenants/alpha")
        .await
        .expect(200);
    assert!(!start_purge(&mut purger().await, &alpha, now).await.unwrap());
    stack.tick().await;
    let orders = "SELECT count(*) FROM jobs WHERE kind = 'hard_delete_tenant'";
    assert_eq!(stack.count(orders).await, 0);
    assert!(
        find_purgeable(&mut purger().await, &platform)
            .await
            .unwrap()
            .is_none()
    );
    // The role sees and deletes nothing of a tenant that is not being purged.
    for tenant in [&alive, &alpha, &platform] {
        for table in PURGED_TABLES {
            assert_eq!(
                purge_rows(&mut purger().await, table, tenant, 1000)
                    .await
                    .unwrap(),
                0
            );
        }
    }
    // Nor is it the purger's to say what time it is.
    let far = now + chrono::TimeDelta::days(31);
    let early = start_purge(&mut purger().await, &alpha, far).await;
    assert_eq!(early.unwrap_err().constraint(), Some("tenants_life"));
    let over = "UPDATE tenants SET purge_after = now() - interval '1 second' WHERE id = 'alpha'";
    sqlx::raw_sql(over)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let now = stack.clock.now();
    assert!(start_purge(&mut purger().await, &alpha, now).await.unwrap());
    let found = find_purgeable(&mut purger().await, &alpha)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.status, TenantStatus::Purging);
    stack
        .admin
        .post("/api/v1/tenants/alpha/restore", &json!({}))
        .await
        .problem(409, "tenant.state");
    assert_eq!(
        purge_rows(&mut purger().await, "api_keys", &alpha, 1000)
            .await
            .unwrap(),
        1
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM api_keys WHERE tenant_id LIKE 'al%'")
            .await,
        3
    );
    stack.stop().await;
}

/// The kind is not for callers, but a row may say anything.
#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_own_row_purges_no_tenant() {
    let stack = two_tenants(StackOptions {
        scheduler: false,
        ..StackOptions::default()
    })
    .await;
    stack.admin.delete("/api/v1/tenants/gone").await.expect(200);
    let order = "SET app.tenant_id = 'stays';
         INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts, timeout_seconds,
                           run_at, created_at)
         VALUES ('stays', '0198c0de-0000-7000-8000-0000000000d1', 'hard_delete_tenant', 'default', 'queued', 9,
                 '{\"tenant_id\": \"gone\"}', 1, 60, now(), now())";
    sqlx::raw_sql(order)
        .execute(&mut stack.app().await)
        .await
        .unwrap();
    let refused =
        "SELECT count(*) FROM jobs WHERE tenant_id = 'stays' AND kind = 'hard_delete_tenant'
                                               AND status = 'cancelled'";
    // Only the sweeper: the loop that orders purges would order the right one.
    eventually("the job is refused", || async {
        let mut tx = stack.database.engine().statement().await.unwrap();
        let page = select_queued_page(&mut tx, ShardId::FIRST, None, 500)
            .await
            .unwrap();
        drop(tx);
        stack.gate.restore(&page).await.unwrap();
        (stack.count(refused).await == 1).then_some(())
    })
    .await;
    assert_eq!(status(&stack, "gone").await, "deleted");
    assert!(rows(&stack, "jobs", "gone").await > 0);
    stack.stop().await;
}
