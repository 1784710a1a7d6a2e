//! What ends a session, or changes what it is worth, does so within two seconds: for requests and for
//! streams that are open.

use std::time::{Duration, Instant};

use serde_json::json;
use unity_shared::tenancy::Role;

use super::{JOBS, ME};
use crate::harness::{EventStream, LoggedIn, Stack, StackOptions, eventually};

/// A second for which an answer may be remembered, and one between two looks of a stream.
const SOON: Duration = Duration::from_millis(2500);

async fn stack() -> Stack {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    stack.create_tenant("acme").await;
    stack
}

async fn stream_of(session: &LoggedIn) -> EventStream {
    EventStream::open(&session.caller, "/api/v1/events", None).await
}

/// Both are waited for at once; the answer is how long the slower took.
async fn ends(stack: &Stack, what: &str, session: LoggedIn, status: u16, sql: &str) {
    let mut stream = stream_of(&session).await;
    session.caller.get(JOBS).await.expect(200);
    stack.change(sql).await;
    let changed = Instant::now();
    tokio::join!(
        async {
            eventually(what, || async {
                (session.caller.get(JOBS).await.status == status).then_some(())
            })
            .await;
            assert!(changed.elapsed() < SOON, "{what}: {:?}", changed.elapsed());
        },
        async {
            assert_eq!(stream.rest().await, []);
            assert!(
                changed.elapsed() < SOON,
                "{what}: stream {:?}",
                changed.elapsed()
            );
        }
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_ends_a_session_ends_its_requests_and_streams_within_two_seconds() {
    let stack = stack().await;
    for (number, (what, status, sql)) in [
        (
            "a logout",
            401,
            "UPDATE sessions SET ended_at = now(), end_reason = 'logout' WHERE user_id = $who",
        ),
        (
            "a removal",
            401,
            "DELETE FROM memberships WHERE user_id = $who",
        ),
        (
            "a person disabled",
            401,
            "UPDATE users SET disabled_at = now() WHERE id = $who",
        ),
        (
            "a new epoch",
            401,
            "UPDATE users SET token_epoch = token_epoch + 1 WHERE id = $who",
        ),
        (
            "a session past its end",
            401,
            "UPDATE sessions SET expires_at = now() WHERE user_id = $who",
        ),
        (
            "a session deleted",
            401,
            "DELETE FROM sessions WHERE user_id = $who",
        ),
        (
            "a password to be changed",
            403,
            "UPDATE users SET must_change_password = true WHERE id = $who",
        ),
        (
            "a suspension",
            403,
            "UPDATE tenants SET status = 'suspended', suspended_at = now() WHERE id = 'acme'",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let email = format!("person-{number}@example.com");
        let person = stack.person(&email, &[("acme", Role::TenantMember)]).await;
        let session = stack.log_in(&person, None).await;
        let sql = sql.replace("$who", &format!("'{}'", person.id));
        ends(&stack, what, session, status, &sql).await;
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_role_counts_within_two_seconds_whatever_the_token_says() {
    let stack = stack().await;
    let person = stack
        .person("changes@example.com", &[("acme", Role::TenantAdmin)])
        .await;
    let session = stack.log_in(&person, None).await;
    let order = json!({ "kind": "probe", "payload": {} });
    for (role, status) in [("tenant-viewer", 403), ("tenant-member", 202)] {
        let mut stream = stream_of(&session).await;
        let sql = format!(
            "UPDATE memberships SET role = '{role}' WHERE user_id = '{}'",
            person.id
        );
        stack.change(&sql).await;
        let changed = Instant::now();
        assert_eq!(
            stream.rest().await,
            [],
            "a stream ends when its reader's role changes"
        );
        eventually(role, || async {
            let me = session.caller.get(ME).await.expect(200).json;
            (me["role"] == role).then_some(())
        })
        .await;
        assert!(changed.elapsed() < SOON, "{role}: {:?}", changed.elapsed());
        session.caller.post(JOBS, &order).await.expect(status);
        session
            .caller
            .get("/api/v1/api-keys")
            .await
            .problem(403, "role.insufficient");
    }
    stack.stop().await;
}
