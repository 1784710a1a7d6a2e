//! A value that a schema takes is taken, and one that it does not take is refused: for every field of
//! every body, at every boundary that the document states.

use std::collections::BTreeSet;

use reqwest::StatusCode;
use serde_json::Value;

use super::{
    fields::{bounds, fields, with_text},
    ground::{Ground, in_order},
};
use crate::{
    harness::{Answer, Caller},
    surface::operations::{Operation, operations},
};

/// What fits its schema and is refused all the same, because of something that a schema cannot say. May
/// only become shorter.
const REFUSED_ALL_THE_SAME: [(&str, &str, &str); 10] = [
    (
        "create_api_key",
        "/role",
        "a tenant's key is no key of the platform",
    ),
    ("create_batch", "/jobs/0/kind", "no kind has this name"),
    (
        "change_password",
        "/new_password",
        "the first request has changed the one before",
    ),
    ("create_job", "/kind", "no kind has this name"),
    ("create_switch", "/scope/kind", "no kind has this name"),
    ("create_switch", "/scope/tenant", "no tenant has this name"),
    (
        "cancel_jobs",
        "/filter/status",
        "a job that has ended cannot be cancelled",
    ),
    (
        "retry_jobs",
        "/filter/status",
        "a job that has not ended cannot be tried again",
    ),
    ("put_job_limits", "/per_kind/a", "no kind has this name"),
    (
        "put_identity_provider",
        "/default_role",
        "it takes email_domains besides",
    ),
];

async fn send(caller: &Caller, operation: &Operation, path: &str, body: String) -> Answer {
    let headers = [("content-type", "application/json")];
    caller
        .send(
            operation.method.clone(),
            path,
            &headers,
            Some(body.into_bytes()),
        )
        .await
}

/// The value itself was refused: not the caller, and not what it was for.
fn is_refused(answer: &Answer) -> bool {
    [StatusCode::BAD_REQUEST, StatusCode::UNPROCESSABLE_ENTITY].contains(&answer.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_taken_or_refused_at_every_boundary_as_its_schema_says() {
    let ground = Ground::prepare().await;
    let (mut tried, mut faults, mut excused) = (0, Vec::new(), BTreeSet::new());
    for operation in in_order(operations(&ground.stack).await) {
        let (Some(schema), Some(body)) = (ground.schema(&operation), ground.body(&operation))
        else {
            continue;
        };
        let (role, caller) = ground.caller_of(&operation);
        let path = ground.path(&operation, role).await;
        let whole = send(&caller, &operation, &path, body.to_string()).await;
        assert!(
            !is_refused(&whole),
            "{}: {body}: {}",
            operation.name,
            whole.text
        );
        for field in fields(&ground.document, schema) {
            let pointer = format!("/{}", field.way.join("/"));
            for bound in bounds(&ground.document, &field.schema) {
                let text = with_text(&body, &field.way, &bound.text);
                let answer = send(&caller, &operation, &path, text.clone()).await;
                tried += 1;
                // Whose request is refused for what it is about is not told what else is wrong.
                let is_taken = !is_refused(&answer) && whole.status.is_success();
                let is_right = if bound.fits {
                    !is_refused(&answer)
                } else {
                    !is_taken
                };
                if is_right {
                    continue;
                }
                let excuse = REFUSED_ALL_THE_SAME
                    .iter()
                    .find(|(name, place, _)| *name == operation.name && *place == pointer);
                match excuse {
                    Some(excuse) if bound.fits => {
                        excused.insert(*excuse);
                    }
                    _ => faults.push(fault(&operation, &pointer, bound.fits, &text, &answer)),
                }
            }
        }
    }
    println!("{tried} values");
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
    let listed = BTreeSet::from(REFUSED_ALL_THE_SAME);
    assert_eq!(excused, listed, "an excuse that nothing needs");
    assert!(tried > 300, "{tried}");
    ground.stack.stop().await;
}

fn fault(operation: &Operation, pointer: &str, fits: bool, text: &str, answer: &Answer) -> String {
    let verdict = if fits {
        "fits and is refused"
    } else {
        "does not fit and is taken"
    };
    let shown: String = text.chars().take(300).collect();
    let detail: Value = answer.json["errors"].clone();
    let said: String = detail.to_string().chars().take(200).collect();
    format!(
        "{} {pointer} {verdict} ({}): {shown} {said}",
        operation.name, answer.status
    )
}
