//! What a request claims to be: only its key counts.

use crate::harness::Stack;
use reqwest::Method;
use serde_json::json;
use unity_shared::tenancy::{ApiKey, Role};

/// The key with another tenant's name in its text and a checksum that fits it.
fn with_hint(key: &str, tenant: &str) -> String {
    let (_, secret) = key.rsplit_once('_').unwrap();
    let body = format!("uk_{}_{}", tenant.replace('-', "_"), &secret[..30]);
    let mut rest = crc32(body.as_bytes());
    let mut digits = Vec::new();
    for _ in 0..6 {
        let digit = u8::try_from(rest % 62).unwrap();
        digits.push(match digit {
            0..=9 => b'0' + digit,
            10..=35 => b'A' + digit - 10,
            _ => b'a' + digit - 36,
        });
        rest /= 62;
    }
    digits.reverse();
    format!("{body}{}", String::from_utf8(digits).unwrap())
}

/// CRC-32 as in IEEE 802.3, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_a_keys_text_opens_nothing() {
    let stack = Stack::still().await;
    for name in ["acme", "acme-corp", "bravo"] {
        stack.create_tenant(name).await;
    }
    let alpha = stack.caller_with_role("acme", Role::TenantAdmin).await;
    let key = alpha.key.clone().unwrap();
    assert_eq!(with_hint(&key, "acme"), key, "the checksum is ours");
    for other in ["bravo", "acme-corp", "platform", "acm", "nobody"] {
        let forged = with_hint(&key, other);
        assert!(ApiKey::parse(&forged).is_ok(), "{forged}");
        alpha
            .with_key(&forged)
            .get("/api/v1/jobs")
            .await
            .problem(401, "auth.required");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_the_key_names_the_tenant_of_a_request() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let theirs = stack.probe(&bravo, json!({})).await;
    let headers = [
        "x-tenant-id",
        "x-tenant",
        "tenant-id",
        "x-user-id",
        "x-forwarded-user",
        "x-forwarded-host",
        "x-original-url",
        "x-act-as",
        "baggage",
        "x-http-method-override",
        "cookie",
    ];
    for name in headers {
        let value = if name == "baggage" || name == "cookie" {
            "tenant_id=bravo"
        } else {
            "bravo"
        };
        let job = alpha
            .post_with(
                "/api/v1/jobs",
                &json!({ "kind": "probe", "payload": {} }),
                &[(name, value)],
            )
            .await
            .expect(202);
        assert_eq!(job.json["tenant_id"], "alpha", "{name}");
        let listed = alpha
            .send(Method::GET, "/api/v1/jobs", &[(name, value)], None)
            .await
            .expect(200);
        assert!(!listed.text.contains("bravo"), "{name}: {}", listed.text);
        alpha
            .send(
                Method::GET,
                &format!("/api/v1/jobs/{theirs}"),
                &[(name, value)],
                None,
            )
            .await
            .problem(404, "not_found");
    }
    for query in ["tenant_id=bravo", "tenant=bravo"] {
        alpha
            .get(&format!("/api/v1/jobs?{query}"))
            .await
            .problem(400, "query.invalid");
    }
    for field in ["tenant_id", "tenant"] {
        let body = json!({ "kind": "probe", "payload": {}, field: "bravo" });
        alpha
            .post("/api/v1/jobs", &body)
            .await
            .problem(400, "body.invalid");
        let body = json!({ "kind": "probe", "payload": { field: "bravo" } });
        alpha
            .post("/api/v1/jobs", &body)
            .await
            .problem(422, "validation.failed");
    }
    let count = "SELECT count(*) FROM jobs WHERE tenant_id = 'bravo' AND kind = 'probe'";
    assert_eq!(stack.count(count).await, 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_belongs_to_its_tenant() {
    let stack = Stack::still().await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let key = [("idempotency-key", "the-same-key")];
    let order = |echo: &str| json!({ "kind": "probe", "payload": { "echo": echo } });
    let first = alpha
        .post_with("/api/v1/jobs", &order("one"), &key)
        .await
        .expect(202);
    let tenant = json!({ "id": "charlie", "name": "Charlie" });
    stack
        .admin
        .post_with("/api/v1/tenants", &tenant, &key)
        .await
        .expect(201);
    for body in [order("one"), order("two")] {
        let key = [("idempotency-key", "the-same-key")];
        let answer = bravo.post_with("/api/v1/jobs", &body, &key).await;
        if body == order("one") {
            let second = answer.expect(202);
            assert_eq!(second.header("idempotency-replayed"), "");
            assert_eq!(second.json["tenant_id"], "bravo");
            assert_ne!(second.json["id"], first.json["id"]);
        } else {
            answer.problem(422, "idempotency.mismatch");
        }
    }
    let again = alpha
        .post_with("/api/v1/jobs", &order("one"), &key)
        .await
        .expect(202);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json, first.json);
    stack.stop().await;
}
