//! Cancelling, trying again, asking why: what is refused.

use serde_json::{Value, json};

use super::{Quiet, Refusal, Who};

const CANCEL: &str = "/api/v1/jobs:cancel";
const RETRY: &str = "/api/v1/jobs:retry";

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_cancelled_or_tried_again_by_who_may_and_with_nothing_to_say() {
    let mut quiet = Quiet::start().await;
    let id = quiet.stack.probe(&quiet.member, json!({})).await;
    let nobodys = uuid::Uuid::now_v7();
    let mut refusals = Vec::new();
    for action in ["cancel", "retry"] {
        let path = format!("/api/v1/jobs/{id}/{action}");
        refusals.push(Refusal::post(
            Who::Viewer,
            &path,
            "{}",
            403,
            "role.insufficient",
        ));
        refusals.push(Refusal::post(
            Who::Nobody,
            &path,
            "{}",
            401,
            "auth.required",
        ));
        for body in ["{\"reason\": 1}", "[]", "null", "x", "{} {}"] {
            refusals.push(Refusal::post(Who::Member, &path, body, 400, "body.invalid"));
        }
        let large = " ".repeat(5000) + "{}";
        refusals.push(Refusal::post(
            Who::Member,
            &path,
            large,
            413,
            "body.too_large",
        ));
        let plain = Refusal::post(Who::Member, &path, "{}", 415, "body.content_type");
        refusals.push(plain.with_headers(&[("content-type", "text/plain")]));
        for other in [nobodys.to_string(), "x".to_owned(), format!("{{{id}}}")] {
            let path = format!("/api/v1/jobs/{other}/{action}");
            refusals.push(Refusal::post(Who::Member, &path, "{}", 404, "not_found"));
            refusals.push(Refusal::post(Who::System, &path, "{}", 404, "not_found"));
        }
    }
    // Only what ended badly, or waits for its next attempt, can be tried again.
    let path = format!("/api/v1/jobs/{id}/retry");
    refusals.push(Refusal::post(Who::Member, &path, "", 409, "job.state"));
    quiet.refuses(refusals).await;
    let path = format!("/api/v1/jobs/{id}/cancel");
    let headers = [("idempotency-key", "c")];
    for _ in 0..2 {
        let answer = quiet
            .member
            .send("POST".parse().unwrap(), &path, &headers, None)
            .await
            .expect(202);
        assert_eq!(answer.json["status"], "cancelled");
    }
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_that_cannot_be_is_refused_with_its_place() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    let many: Vec<uuid::Uuid> = (0..1001).map(|_| uuid::Uuid::now_v7()).collect();
    for path in [CANCEL, RETRY] {
        let refuse = |body: Value, status, code| {
            Refusal::post(Who::Member, path, body.to_string(), status, code)
        };
        for (filter, place) in [
            (json!({}), "/filter"),
            (json!({ "label": {} }), "/filter"),
            (json!({ "status": "succeeded" }), "/filter/status"),
            (json!({ "status": "superseded" }), "/filter/status"),
            (json!({ "kind": "\u{0}" }), "/filter/kind"),
            (json!({ "label": { "a": "\u{0}" } }), "/filter/label/a"),
            (json!({ "ids": [] }), "/filter/ids"),
            (json!({ "ids": many }), "/filter/ids"),
        ] {
            refusals.push(refuse(json!({ "filter": filter }), 422, "validation.failed").at(place));
        }
        for limit in [0, -1, 1001] {
            let body = json!({ "filter": { "kind": "probe" }, "limit": limit });
            refusals.push(refuse(body, 422, "validation.failed").at("/limit"));
        }
        for body in [
            json!({}),
            json!({ "filter": null }),
            json!({ "filter": { "kind": "probe" }, "surprise": 1 }),
            json!({ "filter": { "tenant_id": "acme" } }),
            json!({ "filter": { "status": "done" } }),
            json!({ "filter": { "ids": ["x"] } }),
            json!({ "filter": { "created_after": "yesterday" } }),
        ] {
            refusals.push(refuse(body, 400, "body.invalid"));
        }
        let body = json!({ "filter": { "kind": "probe" } }).to_string();
        refusals.push(Refusal::post(
            Who::Viewer,
            path,
            body.clone(),
            403,
            "role.insufficient",
        ));
        refusals.push(Refusal::post(
            Who::System,
            path,
            body,
            403,
            "tenant.required",
        ));
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}
