//! Who is not let in, and who is let in and may not.

use serde_json::json;
use unity_shared::{
    ids::TenantId,
    tenancy::{ApiKey, Role},
};

use super::{JOBS, Quiet, Refusal, TENANTS, Who, probe, tenant};
use crate::harness::eventually;

/// A key with its last character changed, so that only the checksum is wrong.
fn with_wrong_checksum(key: &str) -> String {
    let last = if key.ends_with('0') { '1' } else { '0' };
    format!("{}{last}", &key[..key.len() - 1])
}

async fn key_that_was(quiet: &Quiet, column: &str) -> String {
    let caller = quiet
        .stack
        .caller_with_role("acme", Role::TenantAdmin)
        .await;
    let key = caller.key.clone().unwrap();
    caller.get(JOBS).await.expect(200);
    let hash = ApiKey::parse(&key).unwrap().hash();
    let sql = format!("UPDATE api_keys SET {column} = now() - interval '1 second' WHERE hash = $1");
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(hash.as_slice())
        .execute(&mut quiet.stack.owner().await)
        .await
        .unwrap();
    assert_eq!(done.rows_affected(), 1);
    // What the API remembers of a key's owner ends within two seconds.
    eventually("the key is refused", || async {
        (caller.get(JOBS).await.status == 401).then_some(())
    })
    .await;
    key
}

/// Values of `Authorization` that are no key, beside the given ones that are none any more.
fn bad_values(good: &str, useless: &[&str]) -> Vec<String> {
    let mut values = vec![
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        good.to_owned(),
        format!("Basic {good}"),
        format!("Token {good}"),
        format!("Bearer {good}x"),
        format!("Bearer x{good}"),
        format!("Bearer {good} {good}"),
        format!("Bearer {good},"),
        format!("Bearer \"{good}\""),
        format!("Bearer {}", &good[..good.len() - 1]),
        format!("Bearer {}", good.to_uppercase()),
        format!("Bearer {}", good.replace("acme", "bravo")),
        format!("Bearer {}", with_wrong_checksum(good)),
        format!("Bearer uk_acme_{}", "A".repeat(36)),
        format!("Bearer {}", "A".repeat(4000)),
        "Bearer null".to_owned(),
        "Bearer *".to_owned(),
        "Bearer uk_acme_' OR true --".to_owned(),
        // An unsigned token that names an administrator.
        "Bearer eyJhbGciOiJub25lIn0.eyJyb2xlIjoic3lzdGVtLWFkbWluIn0.".to_owned(),
    ];
    values.extend(useless.iter().map(|key| format!("Bearer {key}")));
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_malformed_unknown_revoked_or_expired_key_is_refused_alike() {
    let mut quiet = Quiet::start().await;
    let good = quiet.member.key.clone().unwrap();
    let unknown = ApiKey::generate(Some(&"acme".parse::<TenantId>().unwrap()));
    let (revoked, expired) = (
        key_that_was(&quiet, "revoked_at").await,
        key_that_was(&quiet, "expires_at").await,
    );
    let values = bad_values(&good, &[unknown.reveal(), &revoked, &expired]);
    let mut refusals = Vec::new();
    for (path, body) in [
        (JOBS, probe("priority", &json!(1))),
        (TENANTS, tenant("name", &json!("x"))),
    ] {
        for value in &values {
            let headers = [
                ("content-type", "application/json"),
                ("authorization", value.as_str()),
            ];
            refusals.push(
                Refusal::post(Who::Nobody, path, body.clone(), 401, "auth.required")
                    .with_headers(&headers),
            );
        }
        let twice = format!("Bearer {good}");
        let headers = [
            ("content-type", "application/json"),
            ("authorization", twice.as_str()),
            ("authorization", twice.as_str()),
        ];
        refusals.push(
            Refusal::post(Who::Nobody, path, body, 401, "auth.required").with_headers(&headers),
        );
    }
    // A key is heard from its header only: addresses end up in logs.
    for query in ["access_token", "api_key", "token", "key"] {
        let path = format!("{JOBS}?{query}={good}");
        refusals.push(Refusal::send(
            Who::Nobody,
            "GET",
            &path,
            401,
            "auth.required",
        ));
    }
    for header in ["x-api-key", "x-auth-token", "proxy-authorization"] {
        let value = format!("Bearer {good}");
        refusals.push(
            Refusal::send(Who::Nobody, "GET", JOBS, 401, "auth.required")
                .with_headers(&[(header, &value)]),
        );
    }
    quiet.refuses(refusals).await;
    let answer = quiet
        .stack
        .admin
        .without_key()
        .get(JOBS)
        .await
        .problem(401, "auth.required");
    assert_eq!(answer.header("www-authenticate"), "Bearer");
    quiet.member.get(JOBS).await.expect(200);
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_that_is_too_low_is_refused_before_the_body_is_read() {
    let mut quiet = Quiet::start().await;
    let provision = json!({ "kind": "provision_namespace", "payload": {} }).to_string();
    let mut refusals = vec![
        Refusal::post(
            Who::Viewer,
            JOBS,
            probe("priority", &json!(1)),
            403,
            "role.insufficient",
        ),
        Refusal::post(Who::Viewer, JOBS, "not json", 403, "role.insufficient"),
        Refusal::post(
            Who::Member,
            JOBS,
            provision.clone(),
            403,
            "role.insufficient",
        ),
        Refusal::post(Who::System, JOBS, provision, 403, "tenant.required"),
        Refusal::send(Who::System, "GET", JOBS, 403, "tenant.required"),
    ];
    for who in [Who::Viewer, Who::Member, Who::Admin] {
        let body = tenant("name", &json!("x"));
        refusals.push(Refusal::post(who, TENANTS, body, 403, "role.insufficient"));
        refusals.push(Refusal::post(
            who,
            TENANTS,
            "not json",
            403,
            "role.insufficient",
        ));
        refusals.push(Refusal::send(who, "GET", TENANTS, 403, "role.insufficient"));
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_idempotency_key_is_refused() {
    let mut quiet = Quiet::start().await;
    let long = "k".repeat(256);
    let mut refusals = Vec::new();
    for key in ["", " ", "a b", "a\tb", "schlüssel", &long] {
        for (who, path, body) in [
            (Who::Member, JOBS, probe("priority", &json!(1))),
            (Who::System, TENANTS, tenant("name", &json!("x"))),
        ] {
            let headers = [
                ("content-type", "application/json"),
                ("idempotency-key", key),
            ];
            refusals
                .push(Refusal::post(who, path, body, 400, "header.invalid").with_headers(&headers));
        }
    }
    let twice = [
        ("content-type", "application/json"),
        ("idempotency-key", "a"),
        ("idempotency-key", "b"),
    ];
    refusals.push(
        Refusal::post(
            Who::Member,
            JOBS,
            probe("priority", &json!(1)),
            400,
            "header.invalid",
        )
        .with_headers(&twice),
    );
    quiet.refuses(refusals).await;
    quiet.stop().await;
}
