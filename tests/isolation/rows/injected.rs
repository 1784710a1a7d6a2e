//! Statements that somebody made the application send.

use super::{app_as, attempt, stack_of_two, tenant_tables};

/// What an injected statement would try, and the SQLSTATE that must answer it.
const TRICKS: &[(&str, &str)] = &[
    ("SET ROLE unity_engine", "42501"),
    ("SET ROLE unity_operator", "42501"),
    ("SET LOCAL ROLE unity_authenticator", "42501"),
    ("SELECT set_config('role', 'unity_engine', true)", "42501"),
    ("SET SESSION AUTHORIZATION unity_engine", "42501"),
    (
        "SELECT set_config('session_authorization', 'unity_operator', true)",
        "42501",
    ),
    ("GRANT unity_engine TO CURRENT_USER", "42501"),
    ("ALTER ROLE CURRENT_USER BYPASSRLS", "42501"),
    ("CREATE ROLE intruder", "42501"),
    ("SET LOCAL row_security = off; SELECT * FROM jobs", "42501"),
    (
        "SELECT set_config('row_security', 'off', true); SELECT * FROM events",
        "42501",
    ),
    ("ALTER TABLE jobs DISABLE ROW LEVEL SECURITY", "42501"),
    ("ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY", "42501"),
    ("DROP POLICY tenant_isolation ON jobs", "42501"),
    ("CREATE POLICY wide ON jobs USING (true)", "42501"),
    // Where it has some right without passing it on, the database only warns: so it is tried out.
    (
        "GRANT SELECT (hash) ON api_keys TO CURRENT_USER; SELECT hash FROM api_keys",
        "42501",
    ),
    (
        "CREATE OR REPLACE FUNCTION current_tenant() RETURNS text LANGUAGE sql RETURN 'bravo'",
        "42501",
    ),
    ("CREATE TABLE mine (tenant_id text)", "42501"),
    ("CREATE SCHEMA mine", "42501"),
    ("SELECT * FROM api_keys", "42501"),
    ("SELECT hash FROM api_keys", "42501"),
    ("SELECT password_hash FROM users", "42501"),
    ("COPY jobs TO '/tmp/jobs.txt'", "42501"),
    ("COPY jobs FROM PROGRAM 'true'", "42501"),
    ("SELECT pg_read_file('postgresql.conf')", "42501"),
    ("SELECT * FROM pg_authid", "42501"),
    ("SELECT * FROM pg_statistic", "42501"),
    ("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE", "42501"),
    // What is the server's, and by default everybody's.
    ("CREATE TEMPORARY TABLE jobs (tenant_id text)", "42501"),
    (
        "CREATE FUNCTION pg_temp.current_tenant() RETURNS text LANGUAGE sql RETURN 'bravo'",
        "42501",
    ),
    ("SELECT lo_from_bytea(0, 'kept')", "42501"),
    ("SELECT lo_get(1)", "42501"),
    ("SELECT loread(lo_open(1, 131072), 1)", "42501"),
    ("SELECT pg_notify('heard', 'kept')", "42501"),
    ("SELECT query FROM pg_stat_activity", "42501"),
    ("SELECT pg_stat_get_backend_activity(1)", "42501"),
    ("SELECT n_tup_ins FROM pg_stat_user_tables", "42501"),
    ("SELECT pg_cancel_backend(pg_backend_pid())", "42501"),
    ("SELECT pg_terminate_backend(pg_backend_pid())", "42501"),
    ("SELECT * FROM pg_locks", "42501"),
    ("SELECT pg_advisory_lock(1)", "42501"),
    ("SELECT pg_advisory_xact_lock(1)", "42501"),
    ("SELECT pg_try_advisory_lock(1, 1)", "42501"),
    ("SELECT reltuples FROM pg_class", "42501"),
    ("SELECT pg_total_relation_size('jobs')", "42501"),
    ("SELECT pg_relation_size('jobs')", "42501"),
    // What is Unity's own.
    ("LOCK TABLE memberships IN ACCESS EXCLUSIVE MODE", "42501"),
    ("LOCK TABLE sign_ins IN SHARE MODE", "42501"),
    ("LOCK TABLE identity_providers IN EXCLUSIVE MODE", "42501"),
    (
        "SELECT tell(ARRAY['alpha', 'bravo'], ARRAY[gen_random_uuid(), gen_random_uuid()], ARRAY['a', 'a'],
                     ARRAY['{}', '{}']::jsonb[], now())",
        "42501",
    ),
    ("SELECT take_locks(ARRAY['bravo'], NULL, 1)", "42501"),
    ("UPDATE event_counters SET last_sequence = 9223372036854775807", "42501"),
    (
        "INSERT INTO events VALUES ('alpha', 1000000, 'a', gen_random_uuid(), '{}', now())",
        "42501",
    ),
    (
        "INSERT INTO jobs (tenant_id, id, kind, queue, status, priority, payload, max_attempts, timeout_seconds,
                           run_at, created_at, attempt)
         VALUES ('alpha', gen_random_uuid(), 'probe', 'default', 'queued', 5, '{}', 1, 60, now(), now(), 2147483647)",
        "42501",
    ),
    ("SELECT bound_times('jobs')", "42501"),
    (
        "MERGE INTO jobs USING (SELECT 1) AS one ON tenant_id = 'bravo' WHEN MATCHED THEN DELETE",
        "42501",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_gives_the_applications_login_more_than_it_has() {
    let stack = stack_of_two().await;
    let mut app = app_as(&stack, "alpha").await;
    for (trick, state) in TRICKS {
        assert_eq!(
            attempt(&mut app, trick).await,
            Err((*state).to_owned()),
            "{trick}"
        );
    }
    stack.finish().await;
}

/// An error is an answer too: a condition that only another tenant's row would trip must not trip.
#[tokio::test(flavor = "multi_thread")]
async fn a_filter_is_never_applied_to_another_tenants_row() {
    let stack = stack_of_two().await;
    sqlx::raw_sql("ANALYZE")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let mut app = app_as(&stack, "alpha").await;
    for oracle in [
        "SELECT 1 FROM jobs WHERE 1 / (CASE tenant_id WHEN 'bravo' THEN 0 ELSE 1 END) = 2",
        "SELECT 1 FROM jobs WHERE (CASE WHEN resource_key LIKE 'bravo%' THEN resource_key ELSE '1' END)::int = 2",
        "SELECT 1 FROM tenants WHERE (CASE id WHEN 'bravo' THEN name ELSE '1' END)::int = 2",
    ] {
        assert_eq!(attempt(&mut app, oracle).await, Ok(0), "{oracle}");
    }
    // What ANALYZE keeps of the rows is a copy of them.
    let statistics: i64 = sqlx::query_scalar(
        "SELECT count(*) FROM pg_stats WHERE schemaname = 'public' AND tablename = ANY($1)",
    )
    .bind(
        tenant_tables(&mut app)
            .await
            .into_keys()
            .collect::<Vec<_>>(),
    )
    .fetch_one(&mut app)
    .await
    .unwrap();
    assert_eq!(statistics, 0);
    stack.finish().await;
}

/// What row-level security does not do, so that nobody relies on it: the name of the tenant is a setting of
/// the session, and a statement of somebody's own may change it. What keeps such a statement away is that no
/// text of a user reaches SQL but as a bound parameter; the policies guard against a condition that was
/// forgotten or is wrong.
#[tokio::test(flavor = "multi_thread")]
async fn the_tenant_is_what_the_setting_says_whoever_set_it() {
    let stack = stack_of_two().await;
    let mut app = app_as(&stack, "alpha").await;
    let seen = "SELECT DISTINCT tenant_id FROM jobs";
    let own: Vec<String> = sqlx::query_scalar(seen).fetch_all(&mut app).await.unwrap();
    assert_eq!(own, ["alpha"]);
    sqlx::query("SELECT set_config('app.tenant_id', 'bravo', false)")
        .execute(&mut app)
        .await
        .unwrap();
    let other: Vec<String> = sqlx::query_scalar(seen).fetch_all(&mut app).await.unwrap();
    assert_eq!(other, ["bravo"]);
    // A text that is bound stays a text.
    let bound: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs WHERE kind = $1")
        .bind("' OR set_config('app.tenant_id', 'alpha', false) = 'alpha")
        .fetch_one(&mut app)
        .await
        .unwrap();
    assert_eq!(bound, 0);
    stack.finish().await;
}
