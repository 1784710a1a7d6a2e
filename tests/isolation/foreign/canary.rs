//! Everything of one tenant, looked for in every answer to another; and a tenant that is refused
//! everything.

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::{EVERY_TENANT_ROLE, still_stack};
use crate::{
    harness::{Answer, Caller, Stack, eventually},
    surface::operations::operations,
};

const CANARY: &str = "canary-5f1c2e";

/// Tenant alpha with the canary in every text that a caller can choose, and its finished job.
async fn plant(stack: &Stack) -> (Caller, String) {
    let body = json!({
        "id": "alpha", "name": format!("Name {CANARY}"), "plan": "pro",
        "admin_email": format!("{CANARY}@example.com")
    });
    let created = stack
        .admin
        .post_with("/api/v1/tenants", &body, &[("idempotency-key", CANARY)])
        .await
        .expect(201);
    let alpha = stack.admin.with_key(&created.text_of("api_key"));
    let order = json!({
        "kind": "probe", "payload": { "echo": { CANARY: CANARY } }, "resource_key": CANARY,
        "labels": { CANARY: CANARY, "team": CANARY }
    });
    let job = alpha
        .post_with("/api/v1/jobs", &order, &[("idempotency-key", CANARY)])
        .await
        .expect(202)
        .text_of("id");
    let ended = stack.ended(&alpha, &job).await;
    assert!(
        ended.to_string().contains(CANARY),
        "the canary can be seen where it belongs"
    );
    (alpha, job)
}

fn sings(answer: &Answer) -> bool {
    let headers = format!("{:?}", answer.headers);
    answer.text.contains(CANARY) || headers.contains(CANARY)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_text_of_a_tenant_appears_in_any_byte_that_another_receives() {
    let stack = Stack::start().await;
    let (alpha, job) = plant(&stack).await;
    let bravo = stack.create_tenant("bravo").await;
    let own = stack.probe(&bravo, json!({ "echo": "bravo" })).await;
    stack.ended(&bravo, &own).await;
    let mut callers = vec![
        bravo.clone(),
        stack.admin.without_key(),
        stack.admin.with_key("uk_x"),
    ];
    for role in EVERY_TENANT_ROLE {
        callers.push(stack.caller_with_role("bravo", role).await);
    }
    let bodies: [Option<Value>; 4] = [
        None,
        Some(json!({})),
        Some(json!({ "kind": "probe", "payload": {}, "resource_key": "x" })),
        Some(json!({ "id": "alpha", "name": "Alpha" })),
    ];
    for operation in operations(&stack).await {
        for caller in &callers {
            for (job, tenant) in [(&job, "alpha"), (&own, "bravo"), (&job, "alph")] {
                for body in &bodies {
                    let body = body.as_ref().map(|body| body.to_string().into_bytes());
                    let answer = caller
                        .send(
                            operation.method.clone(),
                            &operation.at(job, tenant),
                            &[("content-type", "application/json")],
                            body,
                        )
                        .await;
                    assert!(!sings(&answer), "{}: {}", operation.name, answer.text);
                }
            }
        }
    }
    assert!(
        sings(&alpha.get("/api/v1/jobs").await),
        "the search finds what is there"
    );
    assert!(sings(&stack.admin.get("/api/v1/tenants").await));
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_is_not_in_use_is_refused_everywhere() {
    let stack = still_stack().await;
    let caller = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let job = stack.probe(&caller, json!({})).await;
    let key = [
        ("idempotency-key", "before"),
        ("content-type", "application/json"),
    ];
    let order = json!({ "kind": "probe", "payload": {} })
        .to_string()
        .into_bytes();
    caller
        .send(Method::POST, "/api/v1/jobs", &key, Some(order.clone()))
        .await
        .expect(202);
    let jobs = stack.count("SELECT count(*) FROM jobs").await;
    let mut owner = stack.owner().await;
    for (status, dates) in [
        ("suspended", "suspended_at = now()"),
        ("active", "suspended_at = NULL"),
        ("deleted", "deleted_at = now(), purge_after = now()"),
        ("purging", "name = name"),
        ("purged", "purged_at = now()"),
    ] {
        let set = format!("UPDATE tenants SET status = '{status}', {dates} WHERE id = 'alpha'");
        sqlx::query(AssertSqlSafe(set))
            .execute(&mut owner)
            .await
            .unwrap();
        if status == "active" {
            eventually("the tenant is let in again", || async {
                let answer = caller.get(&format!("/api/v1/jobs/{job}")).await;
                (answer.status == 200).then_some(())
            })
            .await;
            continue;
        }
        refused_soon(&caller, &format!("tenant.{status}")).await;
        let all = operations(&stack).await;
        for operation in all.iter().filter(|one| one.access != "public") {
            let answer = caller
                .send(
                    operation.method.clone(),
                    &operation.at(&job, "alpha"),
                    &key,
                    Some(order.clone()),
                )
                .await
                .problem(403, &format!("tenant.{status}"));
            assert!(!answer.text.contains("alpha@"), "{}", answer.text);
        }
        bravo.get("/api/v1/jobs").await.expect(200);
        stack.admin.get("/api/v1/tenants/alpha").await.expect(200);
    }
    assert_eq!(stack.count("SELECT count(*) FROM jobs").await, jobs);
    stack.stop().await;
}

/// What the API remembers of a key's owner ends within two seconds.
async fn refused_soon(caller: &Caller, code: &str) {
    eventually(code, || async {
        let answer = caller.get("/api/v1/jobs").await;
        (answer.json["code"] == code).then_some(())
    })
    .await;
}
