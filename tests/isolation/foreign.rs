//! What one tenant learns of another over HTTP: not even whether it is there.

mod canary;
mod claims;
mod every_operation;
mod logs;
mod people;
mod streams;

use std::{collections::BTreeSet, time::Duration};

use reqwest::Method;
use serde_json::json;
use unity_shared::tenancy::Role;

use crate::harness::{Answer, Caller, Stack};

const EVERY_TENANT_ROLE: [Role; 3] = [Role::TenantViewer, Role::TenantMember, Role::TenantAdmin];

/// The whole answer without what differs between any two requests: the path that was asked for, the
/// request's id, the time, and how many calls are left.
fn faceless(answer: &Answer) -> String {
    let mut body = answer.json.clone();
    for field in ["instance", "request_id"] {
        assert!(body[field].is_string(), "{}", answer.text);
        body[field] = json!("-");
    }
    let mut headers: Vec<String> = answer
        .headers
        .iter()
        .filter(|(name, _)| {
            let varies = ["date", "x-request-id", "content-length", "ratelimit"];
            !varies.contains(&name.as_str())
        })
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    // The order of the fields is an answer too, so the text is compared beside the values.
    let mut text = answer.text.clone();
    for field in ["instance", "request_id"] {
        text = text.replace(&answer.text_of(field), "-");
    }
    format!("{}\n{}\n{body}\n{text}", answer.status, headers.join("\n"))
}

/// Asks for each path, checks that the answer is the problem, and that all are alike.
async fn all_alike(caller: &Caller, paths: &[String], status: u16, code: &str) {
    let mut first: Option<(String, String)> = None;
    for path in paths {
        // Nothing is there to be waited for: an answer that takes as long as the wait asked for
        // tells that there is.
        let asking = tokio::time::timeout(Duration::from_secs(20), caller.get(path));
        let answer = asking
            .await
            .expect("no answer for a job that is not the caller's");
        let face = faceless(&answer.problem(status, code));
        match &first {
            None => first = Some((path.clone(), face)),
            Some((other, expected)) => assert_eq!(&face, expected, "{path} beside {other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_job_is_answered_as_one_that_does_not_exist() {
    let stack = Stack::still().await;
    stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let theirs = stack.probe(&bravo, json!({})).await;
    let ids = [
        theirs.clone(),
        theirs.to_uppercase(),
        theirs.replace('-', ""),
        format!("%7B{theirs}%7D"),
        format!("urn:uuid:{theirs}"),
        format!("{theirs}%00"),
        uuid::Uuid::now_v7().to_string(),
        uuid::Uuid::nil().to_string(),
        "x".to_owned(),
        "%00".to_owned(),
        "%FF".to_owned(),
        "..%2F..%2Ftenants".to_owned(),
        "'%20OR%20true--".to_owned(),
    ];
    for role in EVERY_TENANT_ROLE {
        let alpha = stack.caller_with_role("alpha", role).await;
        for rest in ["", "/attempts", "/events", "/why", "?wait=0", "?wait=30"] {
            let paths: Vec<String> = ids
                .iter()
                .map(|id| format!("/api/v1/jobs/{id}{rest}"))
                .collect();
            all_alike(&alpha, &paths, 404, "not_found").await;
        }
    }
    // A fault in the rest of the request is told before it is known whose the job is, or not at all.
    let alpha = stack.caller_with_role("alpha", Role::TenantViewer).await;
    let known: Vec<String> = [&ids[0], &ids[6]]
        .map(|id| format!("/api/v1/jobs/{id}?wait=31"))
        .into();
    all_alike(&alpha, &known, 400, "query.invalid").await;
    for method in [Method::DELETE, Method::PATCH, Method::POST] {
        let mut faces = BTreeSet::new();
        for id in [&ids[0], &ids[6]] {
            let path = format!("/api/v1/jobs/{id}");
            faces.insert(faceless(
                &alpha.send(method.clone(), &path, &[], None).await,
            ));
        }
        assert_eq!(faces.len(), 1, "{faces:#?}");
    }
    assert_eq!(
        bravo
            .get(&format!("/api/v1/jobs/{theirs}"))
            .await
            .expect(200)
            .json["id"],
        *theirs
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenant_is_answered_as_one_that_does_not_exist() {
    let stack = Stack::still().await;
    for tenant in ["alpha", "bravo"] {
        stack.create_tenant(tenant).await;
    }
    let ids = [
        "bravo",
        "nobody",
        "platform",
        "BRAVO",
        "bravo%20",
        "%00",
        "b",
        "alpha%2F..%2Fbravo",
        "аlpha",
    ];
    let paths = ids.map(|id| format!("/api/v1/tenants/{id}"));
    for role in EVERY_TENANT_ROLE {
        let alpha = stack.caller_with_role("alpha", role).await;
        all_alike(&alpha, &paths, 404, "not_found").await;
        let own = alpha.get("/api/v1/tenants/alpha").await.expect(200);
        assert_eq!(own.json["tenant_id"], "alpha");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_tenants_job_can_be_neither_cancelled_nor_tried_again() {
    let stack = Stack::still().await;
    stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let theirs = stack.probe(&bravo, json!({})).await;
    let nobodys = uuid::Uuid::now_v7().to_string();
    for role in [Role::TenantMember, Role::TenantAdmin] {
        let alpha = stack.caller_with_role("alpha", role).await;
        for action in ["cancel", "retry"] {
            let mut faces = BTreeSet::new();
            for id in [&theirs, &nobodys] {
                let path = format!("/api/v1/jobs/{id}/{action}");
                let answer = alpha.post(&path, &json!({})).await;
                faces.insert(faceless(&answer.problem(404, "not_found")));
            }
            assert_eq!(faces.len(), 1, "{faces:#?}");
            let order = json!({ "filter": { "ids": [theirs, nobodys] } });
            let done = alpha.post(&format!("/api/v1/jobs:{action}"), &order).await;
            assert_eq!(done.expect(202).json, json!({ "count": 0, "more": false }));
        }
        let order = json!({ "filter": { "created_after": "2000-01-01T00:00:00Z" } });
        alpha.post("/api/v1/jobs:cancel", &order).await.expect(202);
    }
    let job = bravo
        .get(&format!("/api/v1/jobs/{theirs}"))
        .await
        .expect(200);
    assert_eq!(job.json["status"], "queued");
    assert!(job.json["cancellation"].is_null());
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_of_another_tenant_is_seen_by_nobody_but_operators() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let order = json!({
        "scope": { "tenant": "bravo" }, "action": "pause", "reason": "canary of bravo",
        "expires_at": stack.clock.now() + chrono::TimeDelta::hours(1),
    });
    let switch = stack
        .admin
        .post("/api/v1/switches", &order)
        .await
        .expect(201);
    for (caller, concerned) in [(&alpha, false), (&bravo, true)] {
        let job = stack.probe(caller, json!({})).await;
        let why = caller
            .get(&format!("/api/v1/jobs/{job}/why"))
            .await
            .expect(200);
        assert_eq!(
            why.text.contains("canary of bravo"),
            concerned,
            "{}",
            why.text
        );
        for path in ["/api/v1/switches", switch.header("location")] {
            let refused = caller.get(path).await.problem(403, "role.insufficient");
            assert!(!refused.text.contains("canary"), "{}", refused.text);
        }
    }
    stack.stop().await;
}

async fn all_ids(caller: &Caller, query: &str) -> BTreeSet<String> {
    let mut ids = BTreeSet::new();
    let mut next = String::new();
    loop {
        let page = caller
            .get(&format!("/api/v1/jobs?limit=2{query}{next}"))
            .await
            .expect(200)
            .json;
        for job in page["items"].as_array().unwrap() {
            assert!(
                ids.insert(job["id"].as_str().unwrap().to_owned()),
                "a job is listed twice"
            );
        }
        match page["next_page_token"].as_str() {
            Some(token) => next = format!("&page_token={token}"),
            None => return ids,
        }
    }
}

/// Names that begin, end or continue like one another, where a careless prefix or pattern would take
/// one for the other.
const NEAR_NAMES: [&str; 8] = [
    "alpha",
    "alph",
    "alpha-b",
    "alpha-bb",
    "alphab",
    "alpha-b-b",
    "lpha",
    "a",
];

#[tokio::test(flavor = "multi_thread")]
async fn tenants_of_near_names_see_their_own_jobs_only() {
    let stack = Stack::start().await;
    let mut known: Vec<(&str, Caller, BTreeSet<String>)> = Vec::new();
    for name in NEAR_NAMES {
        let caller = stack.create_tenant(name).await;
        let mut jobs = BTreeSet::new();
        for _ in 0..3 {
            let body = json!({
                "kind": "probe", "payload": {}, "resource_key": "same", "labels": { "same": "same" }
            });
            let job = caller.post("/api/v1/jobs", &body).await.expect(202);
            assert_eq!(job.json["tenant_id"], name);
            jobs.insert(job.text_of("id"));
        }
        for id in &jobs {
            assert_eq!(stack.ended(&caller, id).await["tenant_id"], name);
        }
        known.push((name, caller, jobs));
    }
    for (name, caller, jobs) in &known {
        for query in [
            "&label=same:same",
            "&kind=probe",
            "&kind=probe&status=succeeded",
        ] {
            assert_eq!(&all_ids(caller, query).await, jobs, "{name} {query}");
        }
        for (other, _, others) in known.iter().filter(|(other, ..)| other != name) {
            for id in others {
                caller
                    .get(&format!("/api/v1/jobs/{id}"))
                    .await
                    .problem(404, "not_found");
            }
            caller
                .get(&format!("/api/v1/tenants/{other}"))
                .await
                .problem(404, "not_found");
        }
        let text = caller.get("/api/v1/jobs?limit=200").await.expect(200).json;
        for job in text["items"].as_array().unwrap() {
            assert_eq!(job["tenant_id"], **name);
        }
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_is_good_for_its_own_tenant_and_listing_only() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    for caller in [&alpha, &bravo] {
        for _ in 0..3 {
            stack.probe(caller, json!({})).await;
        }
    }
    let first = alpha
        .get("/api/v1/jobs?limit=1&kind=probe")
        .await
        .expect(200);
    let token = first.text_of("next_page_token");
    let tenants = stack.admin.get("/api/v1/tenants?limit=1").await.expect(200);
    let of_tenants = tenants.text_of("next_page_token");
    let same = format!("/api/v1/jobs?limit=1&kind=probe&page_token={token}");
    alpha.get(&same).await.expect(200);
    for (caller, path) in [
        (&bravo, same),
        (&alpha, format!("/api/v1/jobs?limit=1&page_token={token}")),
        (
            &alpha,
            format!("/api/v1/jobs?limit=1&kind=probe&status=queued&page_token={token}"),
        ),
        (
            &alpha,
            format!("/api/v1/jobs?limit=1&kind=probe&page_token={of_tenants}"),
        ),
        (&stack.admin, format!("/api/v1/tenants?page_token={token}")),
    ] {
        caller.get(&path).await.problem(400, "page_token.invalid");
    }
    stack.stop().await;
}
