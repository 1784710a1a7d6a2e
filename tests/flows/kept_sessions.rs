//! Sessions that are kept for the statements that move jobs.

use std::time::Duration;

use sqlx::Executor as _;
use unity_shared::db::{DbError, KeptSession, KeptSessions};

use crate::harness::Stack;

const DONE: Result<(), DbError> = Ok(());

/// The server's process behind a session.
async fn process(session: &mut KeptSession) -> Result<i32, DbError> {
    let asked = sqlx::query_scalar("SELECT pg_backend_pid()");
    Ok(asked.fetch_one(session.connection()).await?)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_is_lent_again_and_who_asks_for_more_gets_the_pools() {
    let stack = Stack::still().await;
    let sessions = KeptSessions::new(&stack.database, 1);
    let mut first = sessions.take().await.unwrap();
    let kept = process(&mut first).await.unwrap();
    let mut second = sessions.take().await.unwrap();
    assert_ne!(process(&mut second).await.unwrap(), kept);
    first.give_back(&DONE);
    second.give_back(&DONE);
    let mut again = sessions.take().await.unwrap();
    assert_eq!(process(&mut again).await.unwrap(), kept);
    // One that is not given back, as when its caller is cut off, leaves room for another.
    drop(again);
    let mut new = sessions.take().await.unwrap();
    let now_kept = process(&mut new).await.unwrap();
    assert_ne!(now_kept, kept);
    new.give_back(&DONE);
    let mut again = sessions.take().await.unwrap();
    assert_eq!(process(&mut again).await.unwrap(), now_kept);
    drop(again);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_session_whose_server_process_has_gone_fails_once() {
    let stack = Stack::still().await;
    let sessions = KeptSessions::new(&stack.database, 1).trusted();
    let mut session = sessions.take().await.unwrap();
    let kept = process(&mut session).await.unwrap();
    session.give_back(&DONE);
    let ended: bool = sqlx::query_scalar("SELECT pg_terminate_backend($1, 10000)")
        .bind(kept)
        .fetch_one(&mut stack.owner().await)
        .await
        .unwrap();
    assert!(ended);
    let mut session = sessions.take().await.unwrap();
    let answer = process(&mut session).await;
    assert!(matches!(answer, Err(DbError::Unavailable(_))), "{answer:?}");
    session.give_back(&answer);
    let mut session = sessions.take().await.unwrap();
    assert_ne!(process(&mut session).await.unwrap(), kept);
    drop(session);
    stack.finish().await;
}

/// How the session would run a statement that it has prepared, as the engine's sessions plan.
async fn plan(session: &mut KeptSession) -> String {
    let lines: Vec<String> = sqlx::query_scalar("EXPLAIN (COSTS OFF) EXECUTE looked('{a}')")
        .fetch_all(session.connection())
        .await
        .unwrap();
    lines.join("\n")
}

/// On one thread, so that the time can be moved between two statements.
#[tokio::test]
async fn plans_that_were_made_for_few_rows_are_made_anew_for_many() {
    let stack = Stack::still().await;
    let sessions = KeptSessions::new(&stack.database, 1);
    let mut session = sessions.take().await.unwrap();
    let prepare = "PREPARE looked (text[]) AS
                   SELECT tenant.id FROM unnest($1) AS wanted (id) JOIN tenants AS tenant ON tenant.id = wanted.id";
    session.connection().execute(prepare).await.unwrap();
    let by_key = "Index Cond: (id = wanted.id)";
    let for_few = plan(&mut session).await;
    assert!(!for_few.contains(by_key), "{for_few}");
    let grow =
        "INSERT INTO tenants SELECT copy.* FROM tenants AS template, generate_series(1, 2000) AS n,
                    jsonb_populate_record(template, jsonb_build_object(
                        'id', 'grown-' || n, 'uid', gen_random_uuid())) AS copy
                WHERE template.id = 'platform'";
    stack.owner().await.execute(grow).await.unwrap();
    session.give_back(&DONE);
    let mut session = sessions.take().await.unwrap();
    assert_eq!(plan(&mut session).await, for_few);
    session.give_back(&DONE);
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(6)).await;
    tokio::time::resume();
    let mut session = sessions.take().await.unwrap();
    let for_many = plan(&mut session).await;
    assert!(for_many.contains(by_key), "{for_many}");
    drop(session);
    stack.stop().await;
}
