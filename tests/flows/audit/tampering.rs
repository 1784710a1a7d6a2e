//! A log that was changed behind Unity's back does not pass for whole.

use std::process::Output;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use tokio::process::Command;
use unity_shared::audit::{AuditRow, entry_hash};

use super::entries;
use crate::harness::{Caller, Stack};

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

async fn refuses(caller: &Caller, args: &[&str]) -> String {
    let output = unity(caller, args).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn run(connection: &mut PgConnection, sql: &str) -> Result<u64, String> {
    let done = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
        .execute(connection)
        .await;
    done.map(|done| done.rows_affected())
        .map_err(|error| match error {
            sqlx::Error::Database(error) => error.code().unwrap().into_owned(),
            other => panic!("{sql}: {other}"),
        })
}

/// A tenant with a log of ten entries.
async fn tenant_with_a_log(stack: &Stack) -> Caller {
    let caller = stack.create_tenant("acme").await;
    for _ in 0..9 {
        stack.probe(&caller, json!({})).await;
        stack.told().await;
    }
    assert_eq!(entries(&caller, "").await.len(), 10);
    caller
}

/// As the owner of the tables, who may take triggers off.
async fn tamper(owner: &mut PgConnection, sql: &str) {
    let off =
        "ALTER TABLE audit_log DISABLE TRIGGER ALL; ALTER TABLE audit_heads DISABLE TRIGGER ALL";
    run(
        owner,
        &format!(
            "BEGIN; {off}; {sql}; {}; COMMIT",
            off.replace("DISABLE", "ENABLE")
        ),
    )
    .await
    .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_entry_that_was_changed_or_taken_away_is_named() {
    let stack = Stack::still().await;
    let caller = tenant_with_a_log(&stack).await;
    let config = std::env::temp_dir().join(format!("{}.toml", stack.name));
    std::fs::write(&config, stack.settings_toml().await).unwrap();
    let config = config.display().to_string();
    let in_database = [
        "audit",
        "verify",
        "--tenant",
        "acme",
        "--database",
        "--config",
        &config,
    ];
    let over_api = ["audit", "verify"];
    let kept = says(&caller, &["audit", "head"]).await;
    let kept = kept.trim();
    for args in [&over_api[..], &in_database] {
        let said = says(&caller, args).await;
        assert!(said.contains("10 entries") && said.contains(kept), "{said}");
    }
    let mut owner = stack.owner().await;
    let rehash = "UPDATE audit_log AS entry SET hash = audit_hash(entry) WHERE tenant_id = 'acme'";
    let cut = "DELETE FROM audit_log WHERE tenant_id = 'acme' AND sequence > 8";
    let head_back = "UPDATE audit_heads SET sequence = 8, hash = (SELECT hash FROM audit_log
                     WHERE tenant_id = 'acme' AND sequence = 8) WHERE tenant_id = 'acme'";
    let cases = [
        ("UPDATE audit_log SET actor_display = 'somebody else' WHERE tenant_id = 'acme' AND sequence = 4".to_owned(), "entry 4 was changed"),
        ("UPDATE audit_log SET detail = detail || '{\"kind\": \"other\"}' WHERE tenant_id = 'acme' AND sequence IN (3, 5)".to_owned(), "entry 3 was changed"),
        ("UPDATE audit_log SET at = at - interval '1 microsecond' WHERE tenant_id = 'acme' AND sequence = 6".to_owned(), "entry 6 was changed"),
        (format!("UPDATE audit_log SET source_address = NULL WHERE tenant_id = 'acme' AND sequence = 7; {rehash} AND sequence = 7"), "entry 7 was replaced"),
        ("DELETE FROM audit_log WHERE tenant_id = 'acme' AND sequence = 2".to_owned(), "entry 2 is missing"),
        ("DELETE FROM audit_log WHERE tenant_id = 'acme' AND sequence = 1".to_owned(), "entry 1 is missing"),
        (cut.to_owned(), "entry 9 is missing"),
        ("DELETE FROM audit_log WHERE tenant_id = 'acme'".to_owned(), "entry 1 is missing"),
    ];
    let copy = "CREATE TABLE kept_log AS SELECT * FROM audit_log; CREATE TABLE kept_heads AS SELECT * FROM audit_heads";
    run(&mut owner, copy).await.unwrap();
    let restore = "DELETE FROM audit_log; INSERT INTO audit_log SELECT * FROM kept_log;
                   DELETE FROM audit_heads; INSERT INTO audit_heads SELECT * FROM kept_heads";
    for (sql, found) in &cases {
        tamper(&mut owner, sql).await;
        for args in [&over_api[..], &in_database] {
            let said = refuses(&caller, args).await;
            assert!(said.contains(found), "{sql}\n{args:?}: {said}");
        }
        tamper(&mut owner, restore).await;
    }
    // Without a name an administrator of the platform walks every log there is.
    tamper(&mut owner, &cases[0].0).await;
    let all_in_database = ["audit", "verify", "--database", "--config", &config];
    for args in [&over_api[..], &all_in_database] {
        let said = refuses(&stack.admin, args).await;
        assert!(
            said.contains("acme: entry 4 was changed"),
            "{args:?}: {said}"
        );
        assert!(!said.contains("platform:"), "{said}");
    }
    tamper(&mut owner, restore).await;
    let said = says(&stack.admin, &over_api).await;
    assert!(
        said.contains("acme: 10 entries") && said.contains("platform: "),
        "{said}"
    );
    // Whoever also sets the head back is found by a head that was kept elsewhere, and by that alone.
    tamper(&mut owner, &format!("{cut}; {head_back}")).await;
    for args in [&over_api[..], &in_database] {
        says(&caller, args).await;
        let said = refuses(&caller, &[args, &["--head", kept]].concat()).await;
        assert!(said.contains("entry 9 is missing"), "{said}");
    }
    tamper(&mut owner, restore).await;
    run(&mut owner, "DROP TABLE kept_log; DROP TABLE kept_heads")
        .await
        .unwrap();
    let said = says(&caller, &[&over_api[..], &["--head", kept]].concat()).await;
    assert!(said.contains("10 entries"), "{said}");
    std::fs::remove_file(config).unwrap();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_who_serves_requests_can_write_a_log_but_by_appending() {
    let stack = Stack::still().await;
    tenant_with_a_log(&stack).await;
    let mut owner = stack.owner().await;
    for role in [
        "unity_app",
        "unity_authenticator",
        "unity_engine",
        "unity_issuer",
        "unity_operator",
        "unity_purger",
        "unity_registrar",
    ] {
        run(
            &mut owner,
            &format!("SET ROLE {role}; SET app.tenant_id = 'acme'"),
        )
        .await
        .unwrap();
        for table in ["audit_log", "audit_heads"] {
            for verb in [
                format!("INSERT INTO {table} SELECT * FROM {table}"),
                format!("UPDATE {table} SET tenant_id = tenant_id"),
                format!("DELETE FROM {table}"),
                format!("TRUNCATE {table}"),
                format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
            ] {
                assert_eq!(
                    run(&mut owner, &verb).await,
                    Err("42501".to_owned()),
                    "{role}: {verb}"
                );
            }
        }
        run(&mut owner, "RESET ROLE").await.unwrap();
    }
    // The owner is stopped by the triggers, until it takes them off.
    for verb in [
        "UPDATE audit_log SET action = 'a.b'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "DELETE FROM audit_heads",
        "UPDATE audit_heads SET sequence = sequence - 1",
        "TRUNCATE audit_heads",
    ] {
        assert_eq!(
            run(&mut owner, verb).await,
            Err("42501".to_owned()),
            "{verb}"
        );
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_tenants_name_one_appends_to_that_tenants_log_whatever_the_entry_says() {
    let stack = Stack::still().await;
    tenant_with_a_log(&stack).await;
    let entry = json!([{
        "tenant_id": "bravo", "actor_kind": "user", "actor_id": "x", "actor_display": "x",
        "action": "a.b", "object_type": "c", "result": "succeeded", "detail": {},
    }]);
    let mut app = stack.app().await;
    let append = format!("SELECT audit_own('{entry}', now())");
    assert_eq!(
        run(&mut app, &append).await,
        Err("42501".to_owned()),
        "no tenant is set"
    );
    run(&mut app, "SET app.tenant_id = 'platform'")
        .await
        .unwrap();
    assert_eq!(run(&mut app, &append).await, Err("42501".to_owned()));
    run(&mut app, "SET app.tenant_id = 'acme'").await.unwrap();
    run(&mut app, &append).await.unwrap();
    let any = format!("SELECT audit('{entry}', now())");
    assert_eq!(
        run(&mut app, &any).await,
        Err("42501".to_owned()),
        "any tenant's log"
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM audit_log WHERE action = 'a.b' AND tenant_id = 'acme'")
            .await,
        1
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM audit_log WHERE tenant_id = 'bravo'")
            .await,
        0
    );
    stack.stop().await;
}

/// Two programs compute the canonical form; here they meet over what a detail can hold.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_and_the_verifier_agree_on_every_kind_of_entry() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("acme").await;
    let texts = [
        "",
        " ",
        "é",
        "\u{1}\u{8}\t\n\u{c}\r\u{1f}\u{7f}",
        "\"\\/",
        "𝄞\u{ffff}",
        "null",
    ];
    let addresses = ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"];
    let mut entries_in = Vec::new();
    for (place, text) in texts.iter().enumerate() {
        let entry = json!({
            "tenant_id": "acme", "actor_kind": "system", "actor_id": text, "actor_display": text,
            "action": "a.b", "object_type": text, "object_id": text, "user_agent": text,
            "source_address": addresses[place % 3],
            "act_as": uuid::Uuid::now_v7(), "request_id": uuid::Uuid::now_v7(), "result": "denied",
            "detail": {
                *text: [text, { "b": -1, "aa": 9_007_199_254_740_993_i64, "é": true, "a": null }],
                "nothing": [[], {}], "zz": "", "z": { "y": { "x": [0] } },
            },
        });
        entries_in.push(entry);
    }
    sqlx::query("SELECT audit($1, now() + interval '1 microsecond')")
        .bind(Value::Array(entries_in))
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let told = entries(&caller, "").await;
    assert_eq!(told.len(), 1 + texts.len());
    for entry in told {
        let row: AuditRow = serde_json::from_value(entry).unwrap();
        assert_eq!(entry_hash(&row), row.hash, "{row:#?}");
    }
    stack.stop().await;
}

/// An entry as a statement of the application's login could make it.
fn entry_with(change: &Value) -> String {
    let mut entry = json!({
        "actor_kind": "user", "actor_id": "0198c0de-0000-7000-8000-000000000001", "actor_display": "x",
        "action": "a.b", "object_type": "c", "result": "succeeded", "detail": {},
    });
    let change = change.as_object().unwrap().clone();
    entry.as_object_mut().unwrap().extend(change);
    json!([entry]).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_could_not_be_read_or_checked_later_is_refused() {
    let stack = Stack::still().await;
    let caller = tenant_with_a_log(&stack).await;
    let mut app = stack.app().await;
    run(&mut app, "SET app.tenant_id = 'acme'").await.unwrap();
    let deep = (0..9).fold(json!(1), |inner, _| json!([inner]));
    let fraction = r#"[{"detail": {"share": 1.50}}]"#;
    let huge = r#"[{"detail": {"share": 1e400}}]"#;
    let exact = r#"[{"detail": {"count": 123456789012345678901234567890}}]"#;
    let others = [
        entry_with(&json!({ "detail": { "deep": deep } })),
        entry_with(&json!({ "detail": { "long": "x".repeat(70_000) } })),
        entry_with(&json!({ "actor_display": "x".repeat(70_000) })),
    ];
    let texts = [fraction, huge, exact].into_iter().map(str::to_owned);
    for entries in texts.chain(others) {
        let append = format!("SELECT audit_own('{entries}', now())");
        let refused = Err("23514".to_owned());
        assert_eq!(run(&mut app, &append).await, refused, "{entries:.80}");
    }
    // What is not of this time is told at this time.
    for time in ["infinity", "-infinity", "9999-12-31", "1999-12-31"] {
        let append = format!("SELECT audit_own('{}', '{time}')", entry_with(&json!({})));
        run(&mut app, &append).await.unwrap();
    }
    let strayed = "SELECT count(*) FROM audit_log
                   WHERE action = 'a.b' AND at NOT BETWEEN now() - interval '6 minutes' AND now() + interval '6 minutes'";
    assert_eq!(stack.count(strayed).await, 0);
    let said = says(&caller, &["audit", "verify"]).await;
    assert!(said.contains("14 entries"), "{said}");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_platform_is_told_in_a_tenants_name_of_its_administrators_alone() {
    let stack = Stack::still().await;
    tenant_with_a_log(&stack).await;
    let mut app = stack.app().await;
    run(&mut app, "SET app.tenant_id = 'acme'").await.unwrap();
    let before = "SELECT count(*) FROM audit_log WHERE tenant_id = 'platform'";
    let told = stack.count(before).await;
    let somebody = json!("0198c0de-0000-7000-8000-000000000001");
    let tenants_key: Option<String> =
        sqlx::query_scalar("SELECT id::text FROM api_keys WHERE tenant_id = 'acme' LIMIT 1")
            .fetch_optional(&mut stack.owner().await)
            .await
            .unwrap();
    for author in [
        json!({ "actor_kind": "user", "actor_id": somebody }),
        json!({ "actor_kind": "api_key", "actor_id": tenants_key.unwrap() }),
        json!({ "actor_kind": "system", "actor_id": "command line" }),
        json!({ "actor_kind": "anonymous", "actor_id": "127.0.0.1" }),
        json!({ "actor_kind": "user", "actor_id": somebody, "act_as": somebody }),
    ] {
        let mut change = author.clone();
        change["for_platform"] = json!(true);
        let append = format!("SELECT audit_own('{}', now())", entry_with(&change));
        let refused = Err("42501".to_owned());
        assert_eq!(run(&mut app, &append).await, refused, "{author}");
    }
    assert_eq!(stack.count(before).await, told);
    stack.stop().await;
}
