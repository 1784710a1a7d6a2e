//! Values that one tenant may write, and another tenant's work reads in the same statement.

use serde_json::json;
use sqlx::{AssertSqlSafe, PgConnection};
use tokio_util::sync::CancellationToken;
use unity_shared::{ids::JobId, jobs::find_jobs};

use super::{app_as, attempt, stack_of_two, tenant_tables};
use crate::harness::{Caller, Stack, eventually};

/// Nothing moves but by the test's hand.
async fn still_stack() -> (Stack, Caller, Caller) {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    (stack, alpha, bravo)
}

/// A queued probe, as a statement of the application's login could write it.
fn insert_probe(tenant: &str, id: JobId, payload: &str) -> String {
    format!(
        "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts, timeout_seconds,
                           run_at, created_at)
         VALUES ('{tenant}', '{id}', 'probe', 'default', 'queued', 5, '{payload}', 1, 60, now(), now())"
    )
}

/// A queued probe of alpha's with this payload.
async fn write_probe(app: &mut PgConnection, payload: &str) -> JobId {
    let id = JobId::new();
    sqlx::raw_sql(AssertSqlSafe(insert_probe("alpha", id, payload)))
        .execute(app)
        .await
        .unwrap();
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_written_for_a_tenant_that_does_not_exist() {
    let stack = stack_of_two().await;
    for (tenant, outcome) in [("alpha", Ok(1)), ("ghost", Err("42501".to_owned()))] {
        let mut app = app_as(&stack, tenant).await;
        let insert = insert_probe(tenant, JobId::new(), "{}");
        assert_eq!(attempt(&mut app, &insert).await, outcome, "{tenant}");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_that_no_calendar_knows_is_taken_in_no_column() {
    let stack = stack_of_two().await;
    let mut app = app_as(&stack, "alpha").await;
    let mut tried = 0;
    for table in tenant_tables(&mut app).await.into_keys() {
        let columns: Vec<String> = sqlx::query_scalar(
            "SELECT attname::text FROM pg_attribute
             WHERE attrelid = $1::regclass AND atttypid = 'timestamptz'::regtype AND NOT attisdropped
               AND has_column_privilege($1, attname, 'UPDATE')",
        )
        .bind(&table)
        .fetch_all(&mut app)
        .await
        .unwrap();
        for column in columns {
            for time in ["infinity", "-infinity", "294276-12-31", "4713-01-01 BC"] {
                let update = format!("UPDATE {table} SET {column} = '{time}'");
                let refused = Err("23514".to_owned());
                assert_eq!(attempt(&mut app, &update).await, refused, "{update}");
                tried += 1;
            }
        }
    }
    assert!(tried > 40, "{tried}");
    stack.finish().await;
}

/// JSON that PostgreSQL keeps and no program of ours reads.
fn unreadable() -> [String; 2] {
    let deep = format!("{{\"echo\": {}{}}}", "[".repeat(1000), "]".repeat(1000));
    [r#"{"echo": 1e400}"#.to_owned(), deep]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_cannot_be_read_fails_its_own_job_alone() {
    let (mut stack, alpha, bravo) = still_stack().await;
    let mut app = app_as(&stack, "alpha").await;
    let mut poisoned = Vec::new();
    for payload in unreadable() {
        poisoned.push(write_probe(&mut app, &payload).await);
    }
    let mut own = Vec::new();
    for _ in 0..4 {
        own.push(stack.probe(&bravo, json!({ "echo": "well" })).await);
    }
    stack.tick().await;
    let shutdown = CancellationToken::new();
    stack.start_worker(shutdown.clone()).await;
    for id in own {
        let job = stack.ended(&bravo, &id).await;
        assert_eq!(job["status"], "succeeded", "{job}");
        assert_eq!(job["attempt"], 1, "{job}");
    }
    eventually("the poisoned jobs fail", || async {
        stack.tick().await;
        let failed = "SELECT count(*) FROM jobs
                      WHERE status = 'failed' AND error ->> 'code' = 'payload.unreadable' AND crashes = 0";
        (stack.count(failed).await == 2).then_some(())
    })
    .await;
    // Nor do they disturb who reads his own job in the same round trip.
    let well = stack.probe(&bravo, json!({})).await;
    let wanted = [
        ("alpha".parse().unwrap(), poisoned[0]),
        ("bravo".parse().unwrap(), well.parse().unwrap()),
        ("alpha".parse().unwrap(), poisoned[1]),
    ];
    let mut tx = stack.database.each_tenant().await.unwrap();
    let found = find_jobs(&mut tx, &wanted).await.unwrap();
    // What a job carries is passed on unread, so even these can be looked at.
    assert!(found[0].is_ok() && found[2].is_ok());
    let job = found[1].as_ref().unwrap().as_ref().unwrap();
    assert_eq!(job.id.to_string(), well);
    drop(tx);
    alpha
        .get(&format!("/api/v1/jobs/{}", poisoned[0]))
        .await
        .expect(200);
    stack.ended(&bravo, &well).await;
    shutdown.cancel();
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poll_is_answered_whatever_another_tenants_rows_hold() {
    let (stack, _, bravo) = still_stack().await;
    let mut app = app_as(&stack, "alpha").await;
    let odd = write_probe(&mut app, "{}").await;
    let own = stack.probe(&bravo, json!({})).await;
    for (change, is_read) in [
        (r#"error = '{"code": 1}'"#, false),
        (r#"error = NULL, progress = '"half"'"#, false),
        ("progress = NULL, result = '[1e999]'", true),
    ] {
        let update = format!("UPDATE jobs SET {change}");
        sqlx::raw_sql(AssertSqlSafe(update))
            .execute(&mut app)
            .await
            .unwrap();
        let wanted = [
            ("alpha".parse().unwrap(), odd),
            ("bravo".parse().unwrap(), own.parse().unwrap()),
        ];
        let mut tx = stack.database.each_tenant().await.unwrap();
        let found = find_jobs(&mut tx, &wanted).await.unwrap();
        assert_eq!(found[0].is_ok(), is_read, "{change}");
        assert!(found[1].as_ref().unwrap().is_some(), "{change}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_no_larger_than_a_batch_can_bear() {
    let stack = stack_of_two().await;
    let mut app = app_as(&stack, "alpha").await;
    for column in ["error", "progress", "result"] {
        // Of texts that do not compress, or the row would be small.
        let large = format!(
            "UPDATE jobs SET {column} = (SELECT jsonb_agg(gen_random_uuid()) FROM generate_series(1, 100000))"
        );
        let refused = Err("23514".to_owned());
        assert_eq!(attempt(&mut app, &large).await, refused, "{column}");
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_cannot_make_itself_unchangeable() {
    let (stack, _, _) = still_stack().await;
    let mut app = app_as(&stack, "alpha").await;
    for own in [
        "version = 9223372036854775807",
        "version = -1, updated_at = '9999-12-31'",
    ] {
        let update = format!("UPDATE tenants SET {own}");
        sqlx::raw_sql(AssertSqlSafe(update))
            .execute(&mut app)
            .await
            .unwrap();
    }
    let versions = "SELECT version FROM tenants WHERE id = 'alpha'";
    assert_eq!(stack.count(versions).await, 3);
    let reason = json!({ "reason": "it tried to" });
    let path = "/api/v1/tenants/alpha/suspend";
    stack.admin.post(path, &reason).await.expect(200);
    stack.admin.get("/api/v1/tenants").await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_that_cannot_be_written_does_not_keep_others_from_expiring() {
    let (stack, alpha, bravo) = still_stack().await;
    let mut ids = Vec::new();
    for caller in [&alpha, &bravo] {
        ids.push(stack.probe(caller, json!({})).await);
    }
    let late = format!(
        "UPDATE jobs SET expires_at = now() - interval '1 minute' WHERE kind = 'probe';
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'this row cannot be written'; END $$;
         CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW
             WHEN (OLD.id = '{}') EXECUTE FUNCTION refuse()",
        ids[0]
    );
    sqlx::raw_sql(AssertSqlSafe(late))
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    stack.tick().await;
    let expired =
        "SELECT count(*) FROM jobs WHERE status = 'failed' AND error ->> 'code' = 'expired'";
    assert_eq!(stack.count(expired).await, 1);
    sqlx::raw_sql("DROP TRIGGER refuse ON jobs")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    stack.tick().await;
    assert_eq!(stack.count(expired).await, 2);
    stack.stop().await;
}
