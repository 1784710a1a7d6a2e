//! The commands that speak to the API, and the comparison of queue and rows.

use std::{io::Write as _, process::Output};

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Caller, Stack, eventually};

async fn unity(caller: &Caller, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unity"));
    command
        .args(args)
        .env("UNITY_API_URL", &caller.base)
        .env("UNITY_API_KEY", caller.key.as_deref().unwrap_or_default());
    command.output().await.unwrap()
}

async fn says(caller: &Caller, args: &[&str]) -> String {
    let output = unity(caller, args).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{args:?}: {error}");
    String::from_utf8(output.stdout).unwrap()
}

async fn refuses(caller: &Caller, args: &[&str], exit: i32) -> String {
    let output = unity(caller, args).await;
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{args:?}: {error}");
    error
}

async fn json_of(caller: &Caller, args: &[&str]) -> Value {
    let mut args = args.to_vec();
    args.push("--json");
    serde_json::from_str(&says(caller, &args).await).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_enqueued_followed_and_tried_again() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("client").await;
    let flags = [
        "--payload",
        "{\"echo\": 7}",
        "--priority",
        "9",
        "--label",
        "team=a",
    ];
    let mut args = vec!["jobs", "enqueue", "probe"];
    args.extend(flags);
    let said = says(&caller, &args).await;
    let (id, _) = said.split_once(' ').unwrap();
    assert!(
        says(&caller, &["jobs", "watch", id])
            .await
            .contains("succeeded")
    );
    let shown = says(&caller, &["jobs", "show", id]).await;
    assert!(shown.contains("{\"team\":\"a\"}"), "{shown}");
    let listed = says(
        &caller,
        &["jobs", "list", "--label", "team=a", "--status", "succeeded"],
    )
    .await;
    assert!(listed.starts_with("ID ") && listed.contains(id), "{listed}");
    let args = ["jobs", "enqueue", "probe", "--payload", "{\"fatal\": true}"];
    let fatal = json_of(&caller, &args).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let ended = refuses(&caller, &["jobs", "watch", &fatal], 1).await;
    assert!(ended.contains("the job ended failed"), "{ended}");
    assert!(
        says(&caller, &["jobs", "why", &fatal])
            .await
            .contains("ended")
    );
    let retried = json_of(&caller, &["jobs", "retry", &fatal]).await;
    assert_eq!(retried["status"], "queued");
    stack.ended(&caller, &fatal).await;
    let many = says(&caller, &["jobs", "retry", "--status", "failed"]).await;
    assert_eq!(many, "1 jobs\n");
    stack.ended(&caller, &fatal).await;
    let args = ["jobs", "enqueue", "probe", "--delay", "3600"];
    let later = json_of(&caller, &args).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        says(&caller, &["jobs", "why", &later])
            .await
            .contains("not_due")
    );
    let cancelled = json_of(&caller, &["jobs", "cancel", &later]).await;
    assert_eq!(cancelled["status"], "cancelled");
    stack.finish().await;
}

/// The steps of the tenant `made`, which is in use again afterwards.
async fn lead_a_life(admin: &Caller) {
    let args = [
        "tenants", "patch", "made", "--name", "Made it", "--quota", "users=3",
    ];
    let patched = json_of(admin, &args).await;
    assert_eq!(patched["name"], "Made it");
    assert_eq!(patched["resource_quota"]["users"], 3);
    let args = ["tenants", "patch", "made", "--quota", "users=default"];
    assert_eq!(json_of(admin, &args).await["resource_quota"]["users"], 50);
    let args = [
        "tenants",
        "patch",
        "made",
        "--plan",
        "free",
        "--if-match",
        "\"v1\"",
    ];
    assert!(
        refuses(admin, &args, 1)
            .await
            .contains("precondition.failed")
    );
    let usage = says(admin, &["tenants", "usage", "made"]).await;
    assert!(
        usage.starts_with("QUOTA") && usage.contains("users"),
        "{usage}"
    );
    let args = ["tenants", "suspend", "made", "--reason", "tea"];
    assert!(says(admin, &args).await.contains("suspended"));
    let listed = says(
        admin,
        &[
            "tenants",
            "list",
            "--status",
            "suspended",
            "--search",
            "MADE",
        ],
    )
    .await;
    assert!(listed.contains("Made it"), "{listed}");
    assert_eq!(
        json_of(admin, &["tenants", "get", "made"]).await["status_reason"],
        "tea"
    );
    assert_eq!(
        json_of(admin, &["tenants", "resume", "made"]).await["status"],
        "active"
    );
    assert!(
        says(admin, &["tenants", "delete", "made"])
            .await
            .contains("purge after")
    );
    let error = refuses(admin, &["tenants", "purge", "made"], 1).await;
    assert!(error.contains("tenant.grace_period"), "{error}");
    assert_eq!(
        json_of(admin, &["tenants", "restore", "made"]).await["status"],
        "active"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_see_and_set_what_runs() {
    let stack = Stack::start().await;
    let admin = &stack.admin;
    let made = json_of(admin, &["tenants", "create", "made", "--plan", "pro"]).await;
    assert_eq!(made["tenant_id"], "made");
    assert!(says(admin, &["tenants", "list"]).await.contains("made"));
    assert!(
        says(admin, &["tenants", "show", "made"])
            .await
            .contains("tenant-made")
    );
    lead_a_life(admin).await;
    let args = [
        "tenants",
        "limits",
        "made",
        "--max-concurrent",
        "3",
        "--per-kind",
        "probe=2",
    ];
    assert_eq!(
        json_of(admin, &args).await["per_kind"],
        json!({ "probe": 2 })
    );
    let limits = says(admin, &["tenants", "limits", "made"]).await;
    assert!(limits.contains("max concurrent  3"), "{limits}");
    eventually("the worker is listed", || async {
        says(admin, &["workers", "list"])
            .await
            .contains("default")
            .then_some(())
    })
    .await;
    assert!(says(admin, &["pools", "list"]).await.contains("default"));
    let set = json_of(admin, &["pools", "set", "default", "--concurrency", "5"]).await;
    assert_eq!(set["concurrency"], 5);
    let reset = json_of(
        admin,
        &["pools", "set", "default", "--concurrency", "default"],
    )
    .await;
    assert_eq!(reset["concurrency"], Value::Null);
    let args = [
        "switches", "on", "pause", "--kind", "probe", "--reason", "tea", "--for", "10m",
    ];
    let switch = json_of(admin, &args).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(says(admin, &["switches", "list"]).await.contains("tea"));
    assert_eq!(
        says(admin, &["switches", "off", &switch]).await,
        format!("{switch} is off\n")
    );
    assert!(says(admin, &["queues", "list"]).await.starts_with("QUEUE"));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn keys_are_made_listed_revoked_and_rotated() {
    let stack = Stack::still().await;
    let admin = stack.create_tenant("keys").await;
    let args = [
        "keys",
        "create",
        "--name",
        "ci",
        "--role",
        "viewer",
        "--scope",
        "jobs:read",
    ];
    let key = says(&admin, &args).await;
    let caller = admin.with_key(key.trim());
    caller.get("/api/v1/jobs").await.expect(200);
    caller
        .get("/api/v1/events")
        .await
        .problem(403, "scope.insufficient");
    let listed = says(&admin, &["keys", "list"]).await;
    assert!(
        listed.starts_with("ID") && listed.contains("jobs:read"),
        "{listed}"
    );
    assert!(!listed.contains(key.trim()), "{listed}");
    let keys = json_of(&admin, &["keys", "list"]).await;
    let first = keys["items"][0]["id"].as_str().unwrap();
    let shown = json_of(&admin, &["keys", "show", first]).await;
    assert_eq!(shown, keys["items"][0]);
    let id = keys["items"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        says(&admin, &["keys", "revoke", &id]).await,
        format!("{id} is revoked\n")
    );
    eventually("the key is refused", || async {
        (caller.get("/api/v1/jobs").await.status == 401).then_some(())
    })
    .await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stack.settings_toml().await.as_bytes())
        .unwrap();
    let config = file.path().to_str().unwrap().to_owned();
    let args = [
        "keys",
        "create",
        "--role",
        "system-admin",
        "--config",
        &config,
    ];
    let system = admin.with_key(says(&admin, &args).await.trim());
    system.get("/api/v1/tenants").await.expect(200);
    let args = [
        "users",
        "create-admin",
        "--email",
        "root@example.com",
        "--config",
        &config,
    ];
    let password = says(&admin, &args).await;
    let login = stack
        .try_log_in("root@example.com", password.trim(), None)
        .await;
    login.expect(200);
    assert!(says(&admin, &args).await.contains("keeps their password"));
    for (action, status) in [("disable", 401), ("enable", 200)] {
        let args = [
            "users",
            action,
            "--email",
            "root@example.com",
            "--config",
            &config,
        ];
        says(&admin, &args).await;
        let login = stack
            .try_log_in("root@example.com", password.trim(), None)
            .await;
        login.expect(status);
    }
    let args = [
        "users",
        "disable",
        "--email",
        "nobody@example.com",
        "--config",
        &config,
    ];
    refuses(&admin, &args, 1).await;
    let said = says(&admin, &["keys", "rotate", "--config", &config]).await;
    assert!(said.contains(" signs from "), "{said}");
    let error = refuses(&admin, &["keys", "rotate", "--config", &config], 1).await;
    assert!(error.contains("published already"), "{error}");
    says(
        &admin,
        &["keys", "rotate", "--at-once", "--config", &config],
    )
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_one_line_with_its_code_and_request() {
    let stack = Stack::start().await;
    let caller = stack.create_tenant("refused").await;
    let error = refuses(&caller, &["jobs", "show", "nothing"], 1).await;
    assert!(error.contains("code not_found, request_id "), "{error}");
    assert_eq!(error.lines().count(), 1, "{error}");
    let error = refuses(
        &caller,
        &["jobs", "enqueue", "probe", "--priority", "10"],
        1,
    )
    .await;
    assert!(error.contains("/priority: must be from 0 to 9"), "{error}");
    let error = refuses(&caller, &["pools", "list"], 1).await;
    assert!(error.contains("role.insufficient"), "{error}");
    for usage in [
        &["jobs", "cancel"][..],
        &["jobs", "dance"],
        &["switches", "on", "pause"],
    ] {
        refuses(&caller, usage, 2).await;
    }
    let mut command = Command::new(env!("CARGO_BIN_EXE_unity"));
    command
        .args(["jobs", "list"])
        .env_remove("UNITY_API_URL")
        .env_remove("UNITY_API_KEY");
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("--dev-data-dir"));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_told_nonsense_says_so_and_exits() {
    let stack = Stack::start().await;
    for (flags, word) in [
        (["--kinds", "dance"], "dance"),
        (["--queue", "tango"], "tango"),
    ] {
        let mut args = vec!["worker"];
        args.extend(flags);
        let error = refuses(&stack.admin, &args, 1).await;
        assert!(
            error.contains(word) && error.lines().count() == 1,
            "{error}"
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_tells_whether_redis_and_the_rows_agree() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("drift").await;
    let id = stack.probe(&caller, json!({})).await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stack.settings_toml().await.as_bytes())
        .unwrap();
    let config = file.path().to_str().unwrap().to_owned();
    let args = ["queues", "verify", "--config", &config];
    let agreed = says(&stack.admin, &args).await;
    assert_eq!(agreed.matches(" 0\n").count(), 6, "{agreed}");
    // A row that ended behind the gate's back, and one that the gate never heard of.
    sqlx::raw_sql(
        "UPDATE jobs SET status = 'cancelled', finished_at = now() WHERE kind = 'probe';
         INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts, timeout_seconds,
                           run_at, created_at)
         SELECT tenant_id, gen_random_uuid(), kind, queue, 'queued', 5, '{}', 1, 60, now(), now()
         FROM jobs WHERE kind = 'probe'",
    )
    .execute(&mut stack.owner().await)
    .await
    .unwrap();
    let output = unity(&stack.admin, &args).await;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains("unknown    1") && said.contains("stale      1"),
        "{said}"
    );
    assert!(said.contains(&id), "{said}");
    stack.tick().await;
    says(&stack.admin, &args).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_acts_in_a_tenant_and_the_log_tells_of_it() {
    let stack = Stack::still().await;
    let tenant = stack.create_tenant("client").await;
    let reason = ["--reason", "ticket 42", "--minutes", "2"];
    let args = [&["act-as", "begin", "client"][..], &reason].concat();
    let token = says(&stack.admin, &args).await;
    let acting = stack.admin.with_key(token.trim());
    acting.get("/api/v1/jobs").await.expect(200);
    let grants = json_of(&stack.admin, &["act-as", "list", "client"]).await;
    assert_eq!(grants["items"][0]["reason"], "ticket 42");
    let id = grants["items"][0]["id"].as_str().unwrap();
    let ended = says(&stack.admin, &["act-as", "end", "client", id]).await;
    assert!(ended.contains("has ended"), "{ended}");
    let listed = says(&tenant, &["audit", "list", "--action", "act_as.request"]).await;
    assert!(listed.contains("act_as.request"), "{listed}");
    let log = json_of(&tenant, &["audit", "list"]).await;
    assert_eq!(log["items"][0]["action"], "act_as.end");
    for args in [
        &["audit", "verify"][..],
        &["audit", "verify", "--tenant", "client"],
    ] {
        says(&tenant, args).await;
        says(&stack.admin, args).await;
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_identity_provider_is_set_shown_and_taken_away() {
    let stack = Stack::still().await;
    let tenant = stack.create_tenant("client").await;
    let issuer = "https://login.client.example";
    let set = [
        "identity-provider",
        "set",
        "--issuer",
        issuer,
        "--client-id",
        "unity",
        "--email-domain",
        "client.example",
        "--default-role",
        "viewer",
    ];
    let said = refuses(&tenant, &set, 1).await;
    assert!(said.contains("UNITY_CLIENT_SECRET"), "{said}");
    let from = ["--client-secret-env", "UNITY_API_KEY"];
    says(&tenant, &[&set[..], &from].concat()).await;
    let shown = json_of(&tenant, &["identity-provider", "show"]).await;
    assert_eq!(shown["issuer"], issuer);
    assert_eq!(shown["email_domains"], json!(["client.example"]));
    assert_eq!(shown["default_role"], "tenant-viewer");
    let stale = ["identity-provider", "remove", "--if-match", "\"17\""];
    refuses(&tenant, &stale, 1).await;
    says(&tenant, &["identity-provider", "remove"]).await;
    let nothing = refuses(&tenant, &["identity-provider", "show"], 1).await;
    assert!(
        nothing.contains("not_found") || nothing.contains("not found"),
        "{nothing}"
    );
    stack.stop().await;
}
