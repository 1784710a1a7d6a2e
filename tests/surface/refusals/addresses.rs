//! Addresses, methods and query strings.

use serde_json::json;
use unity_shared::tenancy::Role;

use super::{JOBS, Quiet, Refusal, TENANTS, Who};
use crate::surface::operations::operations;

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_does_not_exist_is_not_found_for_anybody() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for path in [
        "/",
        "/api",
        "/api/",
        "/api/v1",
        "/api/v1/",
        "/api/v2/jobs",
        "/api/v1/Jobs",
        "/api/v1/jobs/",
        "/api/v1//jobs",
        "//api/v1/jobs",
        "/api/v1/job",
        "/api/v1/jobs/a/b/c",
        "/api/v1/jobs/x/attempts/1",
        "/api/v1/users",
        "/api/v1/jobs%2Fx",
        "/jobs",
        "/tenants",
        "/healthz",
        "/readyz",
        "/metrics",
        "/debug/pprof",
        "/admin",
        "/.git/config",
        "/.env",
        "/openapi.yaml",
        "/openapi.json/",
        "/api/v1/openapi.json",
        "/%00",
        "/%FF",
        "/api/v1/..%2F..%2Fetc%2Fpasswd",
    ] {
        for who in [Who::Nobody, Who::Member, Who::System] {
            for method in ["GET", "POST", "DELETE"] {
                refusals.push(Refusal::send(who, method, path, 404, "not_found"));
            }
        }
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_an_address_does_not_take_is_refused() {
    let mut quiet = Quiet::start().await;
    let all = operations(&quiet.stack).await;
    let id = quiet.stack.probe(&quiet.member, json!({})).await;
    let mut refusals = Vec::new();
    for operation in &all {
        for method in [
            "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "BREW",
        ] {
            let taken = all
                .iter()
                .any(|other| other.path == operation.path && other.method.as_str() == method);
            if !taken {
                let path = operation.at(&id, "acme");
                refusals.push(Refusal::send(
                    Who::Admin,
                    method,
                    &path,
                    405,
                    "method.not_allowed",
                ));
            }
        }
    }
    for path in ["/openapi.json", "/docs/"] {
        for method in ["POST", "DELETE", "TRACE"] {
            refusals.push(Refusal::send(
                Who::Nobody,
                method,
                path,
                405,
                "method.not_allowed",
            ));
        }
    }
    quiet.refuses(refusals).await;
    let refused = quiet
        .admin
        .send("DELETE".parse().unwrap(), JOBS, &[], None)
        .await;
    let allow = refused.header("allow");
    assert!(allow.contains("GET") && allow.contains("POST"), "{allow}");
    // No foreign page may read an answer.
    let asked = [
        ("origin", "https://elsewhere.example"),
        ("access-control-request-method", "GET"),
    ];
    for method in ["OPTIONS", "GET"] {
        let answer = quiet
            .admin
            .send(method.parse().unwrap(), JOBS, &asked, None)
            .await;
        assert_eq!(answer.header("access-control-allow-origin"), "", "{method}");
    }
    quiet.stop().await;
}

const BAD_PAGES: &[&str] = &[
    "limit=0",
    "limit=-1",
    "limit=201",
    "limit=x",
    "limit=1.5",
    "limit=",
    "limit=99999999999999999999",
    "limit=1&limit=2",
    "surprise=1",
    "offset=10",
    "Limit=1",
    "order=id",
];

const BAD_FILTERS: &[&str] = &[
    "status=done",
    "status=",
    "status=Queued",
    "status=queued,running",
    "kind=%00",
    "label=nothing",
    "label=:v",
    "label=",
    "label=a:%00",
    "created_after=yesterday",
    "created_after=2026-01-01",
    "created_after=",
    "created_after=%2B12026-01-01T00:00:00Z",
    "kind=%0A",
];

const BAD_WAITS: &[&str] = &[
    "wait=31",
    "wait=-1",
    "wait=x",
    "wait=1.5",
    "wait=",
    "wait=1&wait=2",
    "wait=18446744073709551616",
    "surprise=1",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_a_listing_does_not_take_is_refused() {
    let mut quiet = Quiet::start().await;
    let id = quiet.stack.probe(&quiet.member, json!({})).await;
    let mut refusals = Vec::new();
    for (who, path) in [(Who::Viewer, JOBS), (Who::System, TENANTS)] {
        for query in BAD_PAGES {
            refusals.push(Refusal::send(
                who,
                "GET",
                &format!("{path}?{query}"),
                400,
                "query.invalid",
            ));
        }
        let long = "A".repeat(4000);
        for token in [
            "", "x", "!!!", "%00", "AAAA", "null", "0", "..%2F", &id, &long,
        ] {
            let path = format!("{path}?page_token={token}");
            refusals.push(Refusal::send(who, "GET", &path, 400, "page_token.invalid"));
        }
    }
    for query in BAD_FILTERS {
        refusals.push(Refusal::send(
            Who::Viewer,
            "GET",
            &format!("{JOBS}?{query}"),
            400,
            "query.invalid",
        ));
    }
    for query in BAD_WAITS {
        let path = format!("{JOBS}/{id}?{query}");
        refusals.push(Refusal::send(
            Who::Viewer,
            "GET",
            &path,
            400,
            "query.invalid",
        ));
    }
    quiet.refuses(refusals).await;
    for query in [
        "limit=1",
        "limit=200",
        "status=queued&kind=probe",
        "label=a:b=c",
        "created_after=2026-01-01T00:00:00Z",
    ] {
        quiet
            .viewer
            .get(&format!("{JOBS}?{query}"))
            .await
            .expect(200);
    }
    quiet.stop().await;
}

/// The document says that unknown parameters are refused, so a misspelt one is never taken for its
/// absence.
#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_parameter_is_refused_by_every_operation() {
    let quiet = Quiet::start().await;
    let id = quiet.stack.probe(&quiet.member, json!({})).await;
    let person = quiet
        .stack
        .person("person@example.com", &[("acme", Role::TenantAdmin)])
        .await;
    let person = quiet.stack.log_in(&person, None).await;
    let mut taken = Vec::new();
    for operation in operations(&quiet.stack).await {
        let who = if operation.access == "system-admin" {
            Who::System
        } else {
            Who::Admin
        };
        // Identity providers add parameters of their own to the address that they send a browser to.
        if operation.name == "finish_sign_in" {
            continue;
        }
        let path = format!("{}?surprise=1", operation.at(&id, "acme"));
        let caller = if operation.access == "session" {
            person.caller.clone()
        } else {
            quiet.caller(who)
        };
        let body = match operation.path.as_str() {
            TENANTS => json!({ "id": "fresh", "name": "Fresh" }),
            _ => json!({ "kind": "probe", "payload": {} }),
        };
        let body = (operation.method == "POST").then(|| body.to_string().into_bytes());
        let headers = [("content-type", "application/json")];
        let answer = caller.send(operation.method, &path, &headers, body).await;
        if answer.status == 400 {
            answer.problem(400, "query.invalid");
        } else {
            taken.push(format!("{}: {}", operation.name, answer.status));
        }
    }
    assert!(
        taken.is_empty(),
        "these did not refuse ?surprise=1: {taken:#?}"
    );
    quiet.stop().await;
}
