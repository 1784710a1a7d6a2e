//! What operators set: ranges, unknown names, and who is not let in.

use serde_json::{Value, json};

use super::{Quiet, Refusal, Who};

const LIMITS: &str = "/api/v1/tenants/acme/job-limits";
const SWITCHES: &str = "/api/v1/switches";
const POOL: &str = "/api/v1/worker-pools/default";

fn send(method: &str, path: &str, body: &Value, status: u16, code: &'static str) -> Refusal {
    Refusal {
        method: method.parse().unwrap(),
        ..Refusal::post(Who::System, path, body.to_string(), status, code)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_outside_their_ranges_are_refused_with_their_place() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for (order, place) in [
        (json!({ "max_concurrent": -1 }), "/max_concurrent"),
        (json!({ "max_concurrent": 10_001 }), "/max_concurrent"),
        (json!({ "max_concurrent": 1, "weight": 0 }), "/weight"),
        (json!({ "max_concurrent": 1, "weight": 1001 }), "/weight"),
        (
            json!({ "max_concurrent": 1, "max_waiting": -1 }),
            "/max_waiting",
        ),
        (
            json!({ "max_concurrent": 1, "max_waiting": 100_000_001 }),
            "/max_waiting",
        ),
        (
            json!({ "max_concurrent": 1, "per_kind": { "probe": -1 } }),
            "/per_kind/probe",
        ),
        (
            json!({ "max_concurrent": 1, "per_kind": { "probe": 10_001 } }),
            "/per_kind/probe",
        ),
        (
            json!({ "max_concurrent": 1, "per_kind": { "dance": 1 } }),
            "/per_kind/dance",
        ),
    ] {
        refusals.push(send("PUT", LIMITS, &order, 422, "validation.failed").at(place));
    }
    for order in [
        json!({}),
        json!({ "max_concurrent": "1" }),
        json!({ "max_concurrent": 1.5 }),
        json!({ "max_concurrent": null }),
        json!({ "max_concurrent": 1, "per_kind": [] }),
        json!({ "max_concurrent": 1, "surprise": 1 }),
    ] {
        refusals.push(send("PUT", LIMITS, &order, 400, "body.invalid"));
    }
    // The tenant is on the plan `pro`.
    for (order, place) in [
        (json!({ "max_concurrent": 2_001 }), "/max_concurrent"),
        (json!({ "max_concurrent": 1, "weight": 501 }), "/weight"),
        (
            json!({ "max_concurrent": 1, "max_waiting": 10_000_001 }),
            "/max_waiting",
        ),
        (
            json!({ "max_concurrent": 1, "per_kind": { "probe": 2_001 } }),
            "/per_kind/probe",
        ),
    ] {
        refusals.push(send("PUT", LIMITS, &order, 422, "validation.failed").at(place));
    }
    let good = json!({ "max_concurrent": 1 });
    for other in ["nobody", "No%20Tenant"] {
        let path = format!("/api/v1/tenants/{other}/job-limits");
        refusals.push(send("PUT", &path, &good, 404, "not_found"));
        refusals.push(Refusal::send(Who::System, "GET", &path, 404, "not_found"));
        refusals.push(Refusal::send(Who::Viewer, "GET", &path, 404, "not_found"));
    }
    for who in [Who::Viewer, Who::Member, Who::Admin] {
        let refused = send("PUT", LIMITS, &good, 403, "role.insufficient");
        refusals.push(Refusal { who, ..refused });
    }
    quiet.refuses(refusals).await;
    quiet.viewer.get(LIMITS).await.expect(200);
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_that_cannot_be_is_refused_with_its_place() {
    let mut quiet = Quiet::start().await;
    let now = quiet.stack.clock.now();
    let order = |field: &str, value: Value| {
        let mut order = json!({
            "scope": { "kind": "probe" }, "action": "pause", "reason": "why",
            "expires_at": now + chrono::TimeDelta::hours(1),
        });
        order[field] = value;
        order
    };
    let mut refusals = Vec::new();
    for (field, value, place) in [
        ("scope", json!({}), "/scope"),
        ("scope", json!({ "tenant": "nobody" }), "/scope/tenant"),
        ("scope", json!({ "tenant": "No Tenant" }), "/scope/tenant"),
        ("scope", json!({ "kind": "dance" }), "/scope/kind"),
        ("reason", json!(""), "/reason"),
        ("reason", json!(" "), "/reason"),
        ("reason", json!("\u{0}"), "/reason"),
        ("reason", json!("r".repeat(501)), "/reason"),
        ("expires_at", json!(now), "/expires_at"),
        ("expires_at", json!("2000-01-01T00:00:00Z"), "/expires_at"),
        (
            "expires_at",
            json!(now + chrono::TimeDelta::days(367)),
            "/expires_at",
        ),
        (
            "expires_at",
            json!("+262000-01-01T00:00:00Z"),
            "/expires_at",
        ),
    ] {
        let body = order(field, value);
        refusals.push(send("POST", SWITCHES, &body, 422, "validation.failed").at(place));
    }
    for (field, value) in [
        ("scope", json!({ "queue": "default" })),
        ("scope", json!(null)),
        ("action", json!("stop")),
        ("expires_at", json!("tomorrow")),
        ("expires_at", json!(null)),
        ("surprise", json!(1)),
    ] {
        refusals.push(send(
            "POST",
            SWITCHES,
            &order(field, value),
            400,
            "body.invalid",
        ));
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_switch_is_nobodys_business_but_an_operators() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    let nobodys = format!("{SWITCHES}/{}", uuid::Uuid::now_v7());
    for path in [nobodys.as_str(), "/api/v1/switches/x"] {
        for method in ["GET", "DELETE"] {
            refusals.push(Refusal::send(Who::System, method, path, 404, "not_found"));
            refusals.push(Refusal::send(
                Who::Admin,
                method,
                path,
                403,
                "role.insufficient",
            ));
        }
    }
    let refused = send("POST", SWITCHES, &json!({}), 403, "role.insufficient");
    refusals.push(Refusal {
        who: Who::Admin,
        ..refused
    });
    refusals.push(Refusal::send(
        Who::Admin,
        "GET",
        SWITCHES,
        403,
        "role.insufficient",
    ));
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_that_is_unknown_or_cannot_be_scaled_is_refused() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for name in ["default", "nothing", "NO", "a%20b", "%00"] {
        let path = format!("/api/v1/worker-pools/{name}");
        let set = json!({ "concurrency": 1 });
        refusals.push(send("PATCH", &path, &set, 404, "not_found"));
    }
    quiet.refuses(refusals).await;
    sqlx::query("INSERT INTO worker_pools (name, updated_at) VALUES ('default', now())")
        .execute(&mut quiet.owner)
        .await
        .unwrap();
    let mut refusals = Vec::new();
    for jobs in [0, -1, 10_001] {
        let set = json!({ "concurrency": jobs });
        refusals.push(send("PATCH", POOL, &set, 422, "validation.failed").at("/concurrency"));
    }
    let scale = json!({ "replicas": 3, "paused": true });
    refusals.push(send("PATCH", POOL, &scale, 409, "pool.not_scalable"));
    for set in [
        json!({ "concurrency": "many" }),
        json!({ "paused": 1 }),
        json!({ "surprise": 1 }),
        json!([]),
    ] {
        refusals.push(send("PATCH", POOL, &set, 400, "body.invalid"));
    }
    let set = json!({ "paused": true });
    refusals.push(Refusal {
        who: Who::Admin,
        ..send("PATCH", POOL, &set, 403, "role.insufficient")
    });
    for path in ["/api/v1/worker-pools", "/api/v1/workers", "/api/v1/queues"] {
        refusals.push(Refusal::send(
            Who::Admin,
            "GET",
            path,
            403,
            "role.insufficient",
        ));
        for query in ["limit=0", "limit=201", "surprise=1"] {
            let path = format!("{path}?{query}");
            refusals.push(Refusal::send(
                Who::System,
                "GET",
                &path,
                400,
                "query.invalid",
            ));
        }
        let path = format!("{path}?page_token=x");
        refusals.push(Refusal::send(
            Who::System,
            "GET",
            &path,
            400,
            "page_token.invalid",
        ));
    }
    let query = "/api/v1/workers?pool=%00";
    refusals.push(Refusal::send(
        Who::System,
        "GET",
        query,
        400,
        "query.invalid",
    ));
    quiet.refuses(refusals).await;
    let merge = [("content-type", "application/merge-patch+json")];
    let body = Some(br#"{"paused": true}"#.to_vec());
    let set = quiet
        .stack
        .admin
        .send("PATCH".parse().unwrap(), POOL, &merge, body)
        .await
        .expect(200);
    assert_eq!(set.json["paused"], true);
    quiet.stop().await;
}
