//! What the application's own login sees and writes, whatever statement it is made to send.
//!
//! The tables come from the catalogue, so a new one is tried too; the test then asks for rows of two
//! tenants in it.

mod held;
mod injected;
mod poison;
mod pool;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, postgres::PgRow};

use super::catalogue::tenant_tables;
use crate::harness::Stack;

const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// Two tenants with a row in every table that holds tenants' rows.
async fn stack_of_two() -> Stack {
    let stack = Stack::start().await;
    for tenant in ["alpha", "bravo"] {
        let caller = stack.create_tenant(tenant).await;
        let body = json!({
            "kind": "probe", "payload": { "echo": format!("{tenant}-canary"), "fail_attempts": 1 },
            "resource_key": format!("{tenant}-canary"), "labels": { "mark": format!("{tenant}-canary") }
        });
        let key = format!("{tenant}-canary");
        let job = caller
            .post_with("/api/v1/jobs", &body, &[("idempotency-key", &key)])
            .await
            .expect(202);
        stack.ended(&caller, &job.text_of("id")).await;
        let guest = json!({ "email": format!("{tenant}-canary@people.example"), "role": "viewer" });
        let path = format!("/api/v1/tenants/{tenant}/members");
        let invited = caller.post(&path, &guest).await.expect(201);
        stack.ended(&caller, &invited.text_of("job_id")).await;
        let signing_in = format!(
            "INSERT INTO identity_providers (tenant_id, issuer, client_id, sealed_secret, created_at, updated_at)
             VALUES ('{tenant}', '{tenant}-canary', '{tenant}-canary', '{tenant}-canary', now(), now());
             INSERT INTO sign_ins VALUES ('{tenant}', '{tenant}-canary', '{tenant}-canary', now() + interval '1 hour');
             INSERT INTO identities
             SELECT tenant_id, '{tenant}-canary', '{tenant}-canary', user_id, now()
             FROM memberships WHERE tenant_id = '{tenant}' LIMIT 1"
        );
        sqlx::raw_sql(AssertSqlSafe(signing_in))
            .execute(&mut stack.owner().await)
            .await
            .unwrap();
        let switch = "INSERT INTO switches (id, tenant_id, action, reason, created_at, expires_at)
                      VALUES (gen_random_uuid(), $1, 'pause', $1 || '-canary', now(), now() + interval '1 second')";
        let reason =
            json!({ "reason": format!("{tenant}-canary"), "minutes": 1, "role": "viewer" });
        let path = format!("/api/v1/tenants/{tenant}/act-as");
        stack.admin.post(&path, &reason).await.expect(201);
        sqlx::query(switch)
            .bind(tenant)
            .execute(&mut stack.owner().await)
            .await
            .unwrap();
    }
    let mut owner = stack.owner().await;
    for (table, column) in tenant_tables(&mut owner).await {
        for tenant in ["alpha", "bravo"] {
            let sql = format!("SELECT count(*) FROM {table} WHERE {column} = '{tenant}'");
            let count: i64 = sqlx::query_scalar(AssertSqlSafe(sql))
                .fetch_one(&mut owner)
                .await
                .unwrap();
            assert!(
                count > 0,
                "give {tenant} a row in {table} here, so that it is tried"
            );
        }
    }
    stack
}

async fn app_as(stack: &Stack, tenant: &str) -> PgConnection {
    let mut app = stack.app().await;
    sqlx::query("SELECT set_config('app.tenant_id', $1, false)")
        .bind(tenant)
        .execute(&mut app)
        .await
        .unwrap();
    app
}

/// The columns of a table that the session may read.
async fn readable_columns(app: &mut PgConnection, table: &str) -> Vec<String> {
    sqlx::query_scalar(
        "SELECT quote_ident(attname) FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped
           AND has_column_privilege($1, attname, 'SELECT') ORDER BY attnum",
    )
    .bind(table)
    .fetch_all(app)
    .await
    .unwrap()
}

/// Everything that the session can read of a table: whose row it is, and the row as text.
async fn read_all(
    app: &mut PgConnection,
    table: &str,
    tenant_column: &str,
) -> Vec<(Option<String>, String)> {
    let columns = readable_columns(app, table).await;
    assert!(
        columns.iter().any(|column| column == tenant_column),
        "{table}: the application cannot read {tenant_column}"
    );
    let columns = columns.join(", ");
    let sql = format!("SELECT {tenant_column}, (ROW({columns}))::text FROM {table}");
    let rows: Vec<PgRow> = sqlx::query(AssertSqlSafe(sql))
        .fetch_all(app)
        .await
        .unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Runs a statement and answers its SQLSTATE, or how many rows it touched.
async fn attempt(connection: &mut PgConnection, sql: &str) -> Result<u64, String> {
    let mut tx = connection.begin().await.unwrap();
    let ended = tx
        .execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned())))
        .await;
    let ended = match ended {
        Ok(done) => Ok(done.rows_affected()),
        Err(sqlx::Error::Database(error)) => Err(error.code().unwrap().into_owned()),
        Err(other) => panic!("{sql}: {other}"),
    };
    tx.rollback().await.unwrap();
    ended
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_tenant_no_row_of_any_table_is_visible() {
    let stack = stack_of_two().await;
    let mut app = stack.app().await;
    let tenants = tenant_tables(&mut app).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')",
    )
    .fetch_all(&mut app)
    .await
    .unwrap();
    for value in [
        "",
        " ",
        "*",
        "%",
        "null",
        "alpha,bravo",
        "ALPHA",
        "alpha ",
        "' OR true --",
        "alph_",
    ] {
        let mut app = app_as(&stack, value).await;
        for table in &tables {
            match tenants.get(table) {
                Some(column) => {
                    let rows = read_all(&mut app, table, column).await;
                    assert!(rows.is_empty(), "{table} under {value:?}: {rows:?}");
                }
                None => assert_eq!(
                    attempt(&mut app, &format!("SELECT count(*) FROM {table}")).await,
                    Err(INSUFFICIENT_PRIVILEGE.to_owned()),
                    "{table}"
                ),
            }
        }
    }
    for (table, column) in &tenants {
        assert!(
            read_all(&mut app, table, column).await.is_empty(),
            "{table} with nothing set"
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_tenant_every_table_shows_that_tenants_rows_only() {
    let stack = stack_of_two().await;
    for (own, other) in [("alpha", "bravo"), ("bravo", "alpha")] {
        let mut app = app_as(&stack, own).await;
        for (table, column) in tenant_tables(&mut stack.owner().await).await {
            let rows = read_all(&mut app, &table, &column).await;
            assert!(
                !rows.is_empty(),
                "{own} does not see its own rows of {table}"
            );
            for (tenant, text) in rows {
                assert_eq!(tenant.as_deref(), Some(own), "{table}");
                assert!(!text.contains(other), "{table}: {text}");
            }
        }
        let mut copied = Vec::new();
        let mut stream = app.copy_out_raw("COPY jobs TO STDOUT").await.unwrap();
        while let Some(part) = futures::StreamExt::next(&mut stream).await {
            copied.extend_from_slice(&part.unwrap());
        }
        let copied = String::from_utf8(copied).unwrap();
        assert!(
            copied.contains(&format!("{own}-canary")) && !copied.contains(other),
            "{copied}"
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_rows_cannot_be_written_changed_or_taken_away() {
    let stack = stack_of_two().await;
    let mut owner = stack.owner().await;
    let mut app = app_as(&stack, "alpha").await;
    for (table, column) in tenant_tables(&mut owner).await {
        for verb in [
            format!("UPDATE {table} SET {column} = {column} WHERE {column} = 'bravo'"),
            format!("UPDATE {table} SET {column} = 'bravo'"),
            format!("DELETE FROM {table} WHERE {column} = 'bravo'"),
            format!("SELECT 1 FROM {table} WHERE {column} = 'bravo' FOR UPDATE"),
            format!("TRUNCATE {table} CASCADE"),
        ] {
            let ended = attempt(&mut app, &verb).await;
            let refused = ended == Err(INSUFFICIENT_PRIVILEGE.to_owned());
            assert!(refused || ended == Ok(0), "{verb}: {ended:?}");
        }
        let row = a_row_of(&mut owner, &table, &column, "bravo").await;
        for conflict in ["", "ON CONFLICT DO NOTHING"] {
            let insert = insert_statement(&table, &row, conflict);
            assert_eq!(
                attempt(&mut app, &insert).await,
                Err(INSUFFICIENT_PRIVILEGE.to_owned()),
                "{insert}"
            );
        }
    }
    stack.finish().await;
}

/// Without this, the test above would pass for a login that can write nothing at all.
#[tokio::test(flavor = "multi_thread")]
async fn the_same_insert_in_ones_own_name_is_taken() {
    let stack = stack_of_two().await;
    let mut owner = stack.owner().await;
    let mut app = app_as(&stack, "alpha").await;
    let mut job = a_row_of(&mut owner, "jobs", "tenant_id", "bravo").await;
    job["tenant_id"] = json!("alpha");
    // What only the engine counts or decides is not a tenant's to begin with.
    let own =
        "tenant_id, id, kind, queue, status, priority, payload, resource_key, labels, max_attempts,
               timeout_seconds, run_at, created_at";
    job["status"] = json!("queued");
    let insert = insert_statement("jobs", &job, "")
        .replace("jobs SELECT *", &format!("jobs ({own}) SELECT {own}"));
    assert_eq!(attempt(&mut app, &insert).await, Ok(1), "{insert}");
    let mut answer = a_row_of(&mut owner, "idempotency_keys", "tenant_id", "bravo").await;
    answer["tenant_id"] = json!("alpha");
    let insert = insert_statement("idempotency_keys", &answer, "");
    assert_eq!(attempt(&mut app, &insert).await, Ok(1));
    stack.finish().await;
}

async fn a_row_of(owner: &mut PgConnection, table: &str, column: &str, tenant: &str) -> Value {
    let sql = format!("SELECT to_jsonb(t) FROM {table} AS t WHERE {column} = '{tenant}' LIMIT 1");
    sqlx::query_scalar(AssertSqlSafe(sql))
        .fetch_one(owner)
        .await
        .unwrap()
}

fn insert_statement(table: &str, row: &Value, conflict: &str) -> String {
    let row = row.to_string().replace('\'', "''");
    format!(
        "INSERT INTO {table} SELECT * FROM jsonb_populate_record(NULL::{table}, '{row}') {conflict}"
    )
}
