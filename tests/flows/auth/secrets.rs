//! No secret is in a log line, in a list, or in the database in clear.

use std::process::Stdio;

use serde_json::json;
use tokio::process::Command;
use unity_shared::tenancy::Role;

use super::{JOBS, ME};
use crate::harness::{Caller, Stack, eventually};

/// A free port, for a process that has no way to say which one it took.
async fn free_port() -> u16 {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_a_log_line_a_list_or_a_row() {
    let mut stack = Stack::still().await;
    let folder = tempfile::tempdir().unwrap();
    let (config, log) = (folder.path().join("unity.toml"), folder.path().join("log"));
    std::fs::write(&config, stack.settings_toml().await).unwrap();
    let port = free_port().await;
    let mut api = Command::new(env!("CARGO_BIN_EXE_unity"))
        .args(["api", "--log", "trace", "--listen"])
        .arg(format!("127.0.0.1:{port}"))
        .arg("--config")
        .arg(&config)
        .kill_on_drop(true)
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    stack.admin = Caller::new(
        &format!("http://127.0.0.1:{port}"),
        stack.admin.key.as_deref(),
    );
    eventually("the API listens", || async {
        let port = tokio::net::TcpStream::connect(("127.0.0.1", port)).await;
        port.is_ok().then_some(())
    })
    .await;
    let secrets = make_secrets(&stack).await;
    api.kill().await.unwrap();
    let written = std::fs::read_to_string(&log).unwrap();
    assert!(
        written.contains("request answered"),
        "the log is there to be searched"
    );
    let dump: String = sqlx::query_scalar(
        "SELECT string_agg(row, E'\\n') FROM (
             SELECT row_to_json(t)::text AS row FROM users t UNION ALL
             SELECT row_to_json(t)::text FROM api_keys t UNION ALL
             SELECT row_to_json(t)::text FROM sessions t UNION ALL
             SELECT row_to_json(t)::text FROM refresh_tokens t UNION ALL
             SELECT row_to_json(t)::text FROM login_attempts t UNION ALL
             SELECT row_to_json(t)::text FROM idempotency_keys t) AS rows",
    )
    .fetch_one(&mut stack.owner().await)
    .await
    .unwrap();
    for (what, secret) in &secrets {
        assert!(!written.contains(secret), "{what} is in the log");
        assert!(!dump.contains(secret), "{what} is in a row");
    }
    stack.stop().await;
}

/// Everything secret that a caller sends or is given.
async fn make_secrets(stack: &Stack) -> Vec<(&'static str, String)> {
    let body = json!({ "id": "acme", "name": "Acme" });
    let once = [("idempotency-key", "once")];
    let created = stack.admin.post_with("/api/v1/tenants", &body, &once).await;
    let created = created.expect(201);
    let admin = stack.admin.with_key(&created.text_of("api_key"));
    let order = json!({ "name": "secret" });
    let key = admin
        .post_with("/api/v1/api-keys", &order, &once)
        .await
        .expect(201);
    admin
        .with_key(&key.text_of("api_key"))
        .get(JOBS)
        .await
        .expect(200);
    let person = stack
        .person("secret@example.com", &[("acme", Role::TenantAdmin)])
        .await;
    let guess = stack
        .try_log_in(&person.email, "a guess that is nearly right", None)
        .await;
    guess.problem(401, "auth.failed");
    let first = stack.log_in(&person, None).await;
    first.caller.get(ME).await.expect(200);
    let second = stack.refresh(&first.refresh).await.expect(200);
    let second = stack.logged_in(&second);
    let change =
        json!({ "current_password": person.password, "new_password": "the newest password" });
    let third = second
        .caller
        .post("/api/v1/auth/password", &change)
        .await
        .expect(200);
    let third = stack.logged_in(&third);
    let listed = third.caller.get("/api/v1/api-keys").await.expect(200);
    let key = key.text_of("api_key");
    assert!(
        !listed.text.contains(key.rsplit('_').next().unwrap()),
        "{}",
        listed.text
    );
    vec![
        ("a tenant's first key", created.text_of("api_key")),
        ("a first password", created.text_of("admin_password")),
        ("a key", key),
        ("a password", person.password),
        ("a guess", "a guess that is nearly right".to_owned()),
        ("a new password", "the newest password".to_owned()),
        ("an access token", first.access),
        ("an access token that was refreshed", second.access),
        ("an access token after a new password", third.access),
        ("a refresh token", first.refresh),
        ("the next refresh token", second.refresh),
        ("the last refresh token", third.refresh),
    ]
}
