//! Bodies of the right form whose values cannot be.

use serde_json::{Map, Value, json};

use super::{BATCH, JOBS, Quiet, Refusal, TENANTS, Who, probe, tenant};

fn job(field: &str, value: &Value) -> Refusal {
    let body = probe(field, value);
    Refusal::post(Who::Admin, JOBS, body, 422, "validation.failed").at(&format!("/{field}"))
}

fn new_tenant(field: &str, value: &Value) -> Refusal {
    let body = tenant(field, value);
    Refusal::post(Who::System, TENANTS, body, 422, "validation.failed").at(&format!("/{field}"))
}

fn nested(depth: usize) -> Value {
    (0..depth).fold(json!(1), |inner, _| json!({ "a": inner }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_outside_its_range_is_refused_with_its_place() {
    let mut quiet = Quiet::start().await;
    let many: Map<String, Value> = (0..33).map(|n| (format!("k{n}"), json!("v"))).collect();
    let mut refusals = Vec::new();
    for (field, value) in [
        ("priority", json!(-1)),
        ("priority", json!(10)),
        ("priority", json!(i64::MAX)),
        ("timeout_seconds", json!(0)),
        ("timeout_seconds", json!(-1)),
        ("timeout_seconds", json!(86_401)),
        ("timeout_seconds", json!(i64::MAX)),
        ("max_attempts", json!(0)),
        ("max_attempts", json!(101)),
        ("max_attempts", json!(i64::MIN)),
        ("delay_seconds", json!(-1)),
        ("delay_seconds", json!(31_536_001)),
        ("delay_seconds", json!(i64::MAX)),
        ("resource_key", json!("")),
        ("resource_key", json!("k".repeat(201))),
        ("resource_key", json!("a\u{0}b")),
        ("resource_key", json!("a\nb")),
        ("resource_key", json!("\u{7f}")),
        ("labels", Value::Object(many)),
        ("payload", json!([])),
        ("payload", json!(null)),
        ("payload", json!("text")),
    ] {
        refusals.push(job(field, &value));
    }
    let large = probe("payload", &json!({ "echo": "x".repeat(65_536) }));
    let batch = format!(r#"{{"jobs": [{}, {large}]}}"#, probe("priority", &json!(1)));
    for (path, body, place) in [(JOBS, large, "/payload"), (BATCH, batch, "/jobs/1/payload")] {
        refusals.push(Refusal::post(Who::Admin, path, body, 413, "payload.too_large").at(place));
    }
    for (labels, place) in [
        (json!({ "": "v" }), "/labels/"),
        (json!({ "k": "v".repeat(257) }), "/labels/k"),
        (json!({ "a\u{0}": "v" }), "/labels/a\u{0}"),
        (json!({ "k": "a\u{0}" }), "/labels/k"),
        (json!({ "k": "a\tb" }), "/labels/k"),
        (json!({ "a/b~c": "\r" }), "/labels/a~1b~0c"),
    ] {
        refusals.push(job("labels", &labels).at(place));
    }
    refusals.push(
        job("labels", &json!({ "k".repeat(64): "v" })).at(&format!("/labels/{}", "k".repeat(64))),
    );
    let mut both: Value = serde_json::from_str(&probe("delay_seconds", &json!(1))).unwrap();
    both["run_at"] = json!("2030-01-01T00:00:00Z");
    refusals.push(
        Refusal::post(Who::Admin, JOBS, both.to_string(), 422, "validation.failed")
            .at("/delay_seconds"),
    );
    refusals.push(job("run_at", &json!("+12030-01-01T00:00:00Z")));
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_payload_that_its_kind_does_not_take_is_refused_with_its_place() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for (payload, place) in [
        (json!({ "surprise": 1 }), "/payload/surprise"),
        (json!({ "sleep_ms": -1 }), "/payload/sleep_ms"),
        (json!({ "sleep_ms": 1.5 }), "/payload/sleep_ms"),
        (json!({ "sleep_ms": "1" }), "/payload/sleep_ms"),
        (
            json!({ "sleep_ms": 4_294_967_296_u64 }),
            "/payload/sleep_ms",
        ),
        (json!({ "fatal": "yes" }), "/payload/fatal"),
        (json!({ "panic": 1 }), "/payload/panic"),
        (json!({ "progress_steps": 256 }), "/payload/progress_steps"),
        (json!({ "fail_attempts": -1 }), "/payload/fail_attempts"),
        (json!({ "echo": "a\u{0}b" }), "/payload/echo"),
        (
            json!({ "echo": ["x", { "y": "\u{0}" }] }),
            "/payload/echo/1/y",
        ),
        (json!({ "tenant_id": "bravo" }), "/payload/tenant_id"),
    ] {
        refusals.push(job("payload", &payload).at(place));
    }
    let mut deep = job("payload", &json!({ "echo": nested(40) }));
    deep.pointer = None;
    refusals.push(deep);
    let provision =
        json!({ "kind": "provision_namespace", "payload": { "namespace": "kube-system" } });
    refusals.push(
        Refusal::post(
            Who::Admin,
            JOBS,
            provision.to_string(),
            422,
            "validation.failed",
        )
        .at("/payload/namespace"),
    );
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

/// What `GET /job-kinds` promises of a payload is held to.
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_beyond_the_bounds_that_its_schema_states_is_refused() {
    let mut quiet = Quiet::start().await;
    let kinds = quiet.admin.get("/api/v1/job-kinds").await.expect(200).json;
    let mut refusals = Vec::new();
    for kind in kinds["items"].as_array().unwrap() {
        let properties = kind["payload_schema"]["properties"].as_object();
        for (name, schema) in properties.into_iter().flatten() {
            let below = schema["minimum"].as_i64().map(|least| least - 1);
            let above = schema["maximum"].as_i64().map(|most| most + 1);
            for value in below.into_iter().chain(above) {
                let body = json!({ "kind": kind["name"], "payload": { name: value } });
                let refusal =
                    Refusal::post(Who::Admin, JOBS, body.to_string(), 422, "validation.failed");
                refusals.push(refusal.at(&format!("/payload/{name}")));
            }
        }
    }
    assert!(!refusals.is_empty());
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_kind_is_refused() {
    let mut quiet = Quiet::start().await;
    let kinds = [
        "",
        " ",
        "Probe",
        "probe ",
        "probe\u{0}",
        "PROBE",
        "nothing",
        "../probe",
        "*",
        "pröbe",
    ];
    let mut refusals: Vec<Refusal> = kinds
        .iter()
        .map(|kind| {
            let body = probe("kind", &json!(kind));
            Refusal::post(Who::Member, JOBS, body, 422, "kind.unknown").at("/kind")
        })
        .collect();
    let long = probe("kind", &json!("k".repeat(100_000)));
    refusals.push(Refusal::post(Who::Member, JOBS, long, 422, "kind.unknown").at("/kind"));
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_id_that_is_no_slug_or_is_reserved_is_refused() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    let long = "a".repeat(43);
    for id in [
        "",
        " ",
        "ab",
        "-ab",
        "ab-",
        "-",
        "--",
        "Acme",
        "ACME",
        "a_b",
        "a.b",
        "a b",
        " acme",
        "acme ",
        "acme\n",
        "acme\u{0}",
        "a/b",
        "../acme",
        "a:b",
        "*",
        "a*b",
        "{acme}",
        "%61cme",
        "аcme",
        "ａcme",
        "acme\u{200b}",
        "acmé",
        "'; DROP TABLE tenants; --",
        &long,
        // What the platform calls itself.
        "platform",
        "system",
        "unity",
        "default",
        // What would read as an environment of another tenant.
        "acme--test",
        "xn--acme",
    ] {
        refusals.push(new_tenant("id", &json!(id)));
    }
    // Found taken only at the insert, so everything before it has to be undone.
    let taken = tenant("id", &json!("acme"));
    refusals.push(Refusal::post(Who::System, TENANTS, taken, 409, "tenant.exists").at("/id"));
    quiet.refuses(refusals).await;
    for id in ["a", "9", "a-b", "xn-acme", &"a".repeat(42)] {
        let body = json!({ "id": id, "name": id });
        quiet.stack.admin.post(TENANTS, &body).await.expect(201);
    }
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_other_values_are_checked_too() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for name in ["", " ", "\u{a0}", "a\u{0}b", "a\r\nb", &"n".repeat(201)] {
        refusals.push(new_tenant("name", &json!(name)));
    }
    let long = format!("{}@example.com", "a".repeat(250));
    for email in [
        "",
        "nobody",
        "@example.com",
        "a@",
        "a b@example.com",
        "a@b@c",
        "<a@example.com>",
        "a@example.com\u{0}",
        "a@example.com\r\nBcc: b@example.com",
        "a@example.com, b@example.com",
        &long,
    ] {
        refusals.push(new_tenant("admin_email", &json!(email)));
    }
    for (value, semantic) in [
        (json!(-1), true),
        (json!(10_000_001), true),
        (json!(4_294_967_296_u64), true),
        (json!(u64::MAX), true),
        (json!(i64::MIN), true),
        (json!(1.5), false),
        (json!(1e300), false),
        (json!("10"), false),
        (json!("unlimited"), false),
        (json!(true), false),
        (json!([1]), false),
    ] {
        for key in ["cpu_cores", "api_calls_per_hour", "users"] {
            refusals.push(quota(key, &value, semantic));
        }
    }
    for key in ["gpus", "CPU_CORES", "cpu-cores", "", "cpu_cores "] {
        refusals.push(quota(key, &json!(1), false));
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

/// A quota that is no whole number, or of no such name, is malformed; one out of range is not
/// acceptable.
fn quota(key: &str, value: &Value, semantic: bool) -> Refusal {
    let body = tenant("resource_quota", &json!({ key: value }));
    let (status, code) = if semantic {
        (422, "validation.failed")
    } else {
        (400, "body.invalid")
    };
    Refusal::post(Who::System, TENANTS, body, status, code).at(&format!("/resource_quota/{key}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_fault_of_a_body_is_told_at_once() {
    let mut quiet = Quiet::start().await;
    let body = json!({
        "kind": "probe", "payload": { "echo": "\u{0}" }, "priority": 99, "timeout_seconds": 0, "labels": { "": "" }
    });
    let places = ["/payload/echo", "/priority", "/timeout_seconds", "/labels/"];
    let refusals = places.map(|place| {
        Refusal::post(
            Who::Member,
            JOBS,
            body.to_string(),
            422,
            "validation.failed",
        )
        .at(place)
    });
    quiet.refuses(refusals.into()).await;
    quiet.stop().await;
}
