//! A system administrator inside a tenant: with leave, for a while, and told to both sides.

use reqwest::Method;
use serde_json::{Value, json};
use unity_shared::clock::Clock;

use crate::harness::{Caller, Stack, eventually, tenant_body};

const GRANTS: &str = "/api/v1/tenants/acme/act-as";

async fn begin(stack: &Stack, role: &str) -> (Value, Caller) {
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": role });
    let begun = stack.admin.post(GRANTS, &order).await.expect(201);
    let acting = stack.admin.with_key(&begun.text_of("token"));
    (begun.json, acting)
}

async fn entries(caller: &Caller, query: &str) -> Vec<Value> {
    let path = format!("/api/v1/audit-log?limit=200{query}");
    let page = caller.get(&path).await.expect(200).json;
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_acts_in_a_tenant_by_leave_and_both_sides_are_told() {
    let stack = Stack::still().await;
    let tenant = stack.create_tenant("acme").await;
    stack.create_tenant("bravo").await;
    stack
        .admin
        .get("/api/v1/jobs")
        .await
        .problem(403, "tenant.required");
    let (grant, acting) = begin(&stack, "member").await;
    assert_eq!(
        (&grant["role"], &grant["reason"]),
        (&json!("tenant-member"), &json!("ticket 42"))
    );
    acting.get("/api/v1/jobs").await.expect(200);
    let order = json!({ "kind": "probe", "payload": {} });
    let made = acting.post("/api/v1/jobs", &order).await.expect(202);
    assert_eq!(made.json["tenant_id"], "acme");
    // In the role that was asked for, in this tenant, and not as an administrator beside.
    acting
        .get("/api/v1/audit-log")
        .await
        .problem(403, "role.insufficient");
    acting
        .get("/api/v1/tenants")
        .await
        .problem(403, "role.insufficient");
    acting
        .get("/api/v1/tenants/bravo")
        .await
        .problem(404, "not_found");
    acting
        .post("/api/v1/tenants/bravo/act-as", &order)
        .await
        .problem(403, "role.insufficient");
    let id = grant["id"].as_str().unwrap();
    stack.told().await;
    for caller in [&tenant, &stack.admin] {
        let told = entries(caller, "&action=act_as.request").await;
        assert_eq!(
            told.len(),
            6,
            "every request, also those that read or were refused"
        );
        let created = entries(caller, "&action=job.create").await;
        assert_eq!(created.len(), 1);
        assert_eq!(told[5]["detail"]["path"], "/api/v1/jobs");
        for entry in told.iter().chain(&created) {
            assert_eq!(entry["act_as"], id);
            assert_eq!(entry["detail"]["act_as_reason"], "ticket 42");
            assert_eq!(entry["actor_kind"], "api_key");
        }
        let begun = entries(caller, "&action=act_as.begin").await;
        assert_eq!(begun.len(), 1);
        assert_eq!(begun[0]["detail"]["reason"], "ticket 42");
    }
    let listed = tenant.get(GRANTS).await.expect(200);
    assert_eq!(listed.json["items"][0]["id"], id);
    assert!(!listed.text.contains("ua_"), "{}", listed.text);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_when_it_is_ended_or_the_administrators_key_is() {
    let stack = Stack::still().await;
    let tenant = stack.create_tenant("acme").await;
    let (grant, acting) = begin(&stack, "viewer").await;
    acting.get("/api/v1/jobs").await.expect(200);
    let path = format!("{GRANTS}/{}", grant["id"].as_str().unwrap());
    tenant.delete(&path).await.problem(403, "role.insufficient");
    acting.delete(&path).await.problem(403, "role.insufficient");
    let other = path.replace("/acme/", "/bravo/");
    stack.admin.delete(&other).await.problem(404, "not_found");
    stack.admin.delete(&path).await.expect(204);
    let began = std::time::Instant::now();
    eventually("the token is refused", || async {
        (acting.get("/api/v1/jobs").await.status == 401).then_some(())
    })
    .await;
    assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    stack.admin.delete(&path).await.problem(404, "not_found");
    for caller in [&tenant, &stack.admin] {
        assert_eq!(entries(caller, "&action=act_as.end").await.len(), 1);
    }
    let (_, acting) = begin(&stack, "viewer").await;
    acting.get("/api/v1/jobs").await.expect(200);
    let revoke = "UPDATE api_keys SET revoked_at = now() WHERE role = 'system-admin'";
    sqlx::query(revoke)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    eventually(
        "the token is refused with its administrator's key",
        || async { (acting.get("/api/v1/jobs").await.status == 401).then_some(()) },
    )
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_ends_by_itself() {
    // The database looks at the grant too, by its own time.
    let clock = Clock::manual(Clock::system().now());
    let stack = Stack::still_at(&clock).await;
    stack.create_tenant("acme").await;
    let (_, acting) = begin(&stack, "viewer").await;
    stack.clock.advance(chrono::TimeDelta::seconds(299));
    acting.get("/api/v1/jobs").await.expect(200);
    stack.clock.advance(chrono::TimeDelta::seconds(1));
    acting
        .get("/api/v1/jobs")
        .await
        .problem(401, "auth.required");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_order_makes_one_grant_and_does_not_show_its_token_again() {
    let stack = Stack::still().await;
    let tenant = stack.create_tenant("acme").await;
    stack.create_tenant("bravo").await;
    let order = json!({ "reason": "ticket", "minutes": 1, "role": "viewer" });
    let key = [("idempotency-key", "once")];
    let first = stack
        .admin
        .post_with(GRANTS, &order, &key)
        .await
        .expect(201);
    let again = stack
        .admin
        .post_with(GRANTS, &order, &key)
        .await
        .expect(201);
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.json["id"], first.json["id"]);
    assert!(again.json["token"].is_null());
    let elsewhere = GRANTS.replace("acme", "bravo");
    let other = stack.admin.post_with(&elsewhere, &order, &key).await;
    other.problem(422, "idempotency.mismatch");
    assert_eq!(entries(&tenant, "&action=act_as.begin").await.len(), 1);
    for (bad, status, code) in [
        (
            json!({ "reason": "", "minutes": 5, "role": "viewer" }),
            422,
            "validation.failed",
        ),
        (
            json!({ "reason": "x", "minutes": 61, "role": "viewer" }),
            422,
            "validation.failed",
        ),
        (
            json!({ "reason": "x", "minutes": 5, "role": "system-admin" }),
            422,
            "validation.failed",
        ),
        (json!({ "reason": "x", "minutes": 5 }), 400, "body.invalid"),
    ] {
        stack.admin.post(GRANTS, &bad).await.problem(status, code);
    }
    let nobodys = GRANTS.replace("acme", "nobody");
    stack
        .admin
        .post(&nobodys, &order)
        .await
        .problem(404, "not_found");
    tenant
        .post(GRANTS, &order)
        .await
        .problem(403, "role.insufficient");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_acts_for_as_long_as_they_are_an_administrator_and_logged_in() {
    let stack = Stack::still().await;
    stack.create_tenant("acme").await;
    let person = stack.person("root@example.com", &[]).await;
    let made = "UPDATE users SET platform_role = 'system-admin' WHERE email = 'root@example.com'";
    stack.change(made).await;
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": "tenant-admin" });
    let lowered = "UPDATE users SET platform_role = NULL WHERE email = 'root@example.com'";
    let disabled = "UPDATE users SET disabled_at = now() WHERE email = 'root@example.com'";
    for (end, undo) in [
        (Some(lowered), Some(made)),
        (None, None),
        (Some(disabled), None),
    ] {
        let session = stack.log_in(&person, None).await;
        let begun = session.caller.post(GRANTS, &order).await.expect(201);
        assert_eq!(begun.json["actor_display"], "root@example.com");
        let acting = stack.admin.with_key(&begun.text_of("token"));
        let me = acting.get("/api/v1/auth/me").await.expect(200);
        assert_eq!(me.json["tenant_id"], "acme", "{}", me.text);
        if let Some(sql) = end {
            stack.change(sql).await;
        } else {
            let logout = session.caller.post("/api/v1/auth/logout", &json!({})).await;
            logout.expect(204);
        }
        eventually("the token is refused", || async {
            (acting.get("/api/v1/jobs").await.status == 401).then_some(())
        })
        .await;
        if let Some(sql) = undo {
            stack.change(sql).await;
        }
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_acts_makes_nothing_that_outlasts_their_leave_and_is_nobodys_session() {
    let stack = Stack::still().await;
    stack.create_tenant("acme").await;
    let person = stack.person("root@example.com", &[]).await;
    let made = "UPDATE users SET platform_role = 'system-admin' WHERE email = 'root@example.com'";
    stack.change(made).await;
    let session = stack.log_in(&person, None).await;
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": "tenant-admin" });
    let begun = session.caller.post(GRANTS, &order).await.expect(201);
    let acting = stack.admin.with_key(&begun.text_of("token"));
    let members = "/api/v1/tenants/acme/members";
    let member = session.caller.get(members).await.expect(200).json["items"][0].clone();
    let member = format!("{members}/{}", member["user_id"].as_str().unwrap());
    let invitation = json!({ "email": "new@example.com", "role": "viewer" });
    let invited = session.caller.post(members, &invitation).await.expect(201);
    let resend = format!(
        "/api/v1/tenants/acme/invitations/{}/resend",
        invited.text_of("id")
    );
    let provider =
        json!({ "issuer": "https://idp.example", "client_id": "unity", "client_secret": "secret" });
    for (method, path, body) in [
        (Method::POST, "/api/v1/api-keys", json!({ "name": "stays" })),
        (Method::POST, members, invitation.clone()),
        (Method::POST, &resend, json!({})),
        (Method::PATCH, &member, json!({ "role": "viewer" })),
        (
            Method::PUT,
            "/api/v1/tenants/acme/identity-provider",
            provider,
        ),
    ] {
        let answer = acting
            .send(
                method,
                path,
                &[("content-type", "application/json")],
                Some(body.to_string().into()),
            )
            .await;
        answer.problem(403, "act_as.forbidden");
    }
    acting
        .post("/api/v1/auth/logout", &json!({}))
        .await
        .problem(403, "session.required");
    session.caller.get("/api/v1/tenants").await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_leave_an_administrator_reaches_the_jobs_of_the_platform_and_none_of_the_tenants_own()
 {
    let stack = Stack::still().await;
    let body = tenant_body("acme");
    let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    let tenant = stack.admin.with_key(&created.text_of("api_key"));
    let (platforms, own) = (
        created.text_of("job_id"),
        stack.probe(&tenant, json!({})).await,
    );
    let (_, acting) = begin(&stack, "member").await;
    for part in ["", "/attempts", "/events"] {
        let path = |id: &str| format!("/api/v1/jobs/{id}{part}");
        let headers = [("accept", "application/json")];
        let ask = async |caller: &Caller, id: &str| {
            caller.send(Method::GET, &path(id), &headers, None).await
        };
        ask(&stack.admin, &platforms).await.expect(200);
        ask(&stack.admin, &own)
            .await
            .problem(403, "act_as.required");
        ask(&acting, &own).await.expect(200);
    }
    for verb in ["cancel", "retry"] {
        let path = format!("/api/v1/jobs/{own}/{verb}");
        let answer = stack.admin.post(&path, &json!({})).await;
        answer.problem(403, "act_as.required");
    }
    assert_eq!(
        tenant
            .get(&format!("/api/v1/jobs/{own}"))
            .await
            .text_of("status"),
        "queued"
    );
    let nobodys = format!("/api/v1/jobs/{}", uuid::Uuid::now_v7());
    stack.admin.get(&nobodys).await.problem(404, "not_found");
    let tried = entries(&stack.admin, "&action=access.denied").await;
    assert_eq!(tried.len(), 5, "{tried:#?}");
    // Why it waits is how the platform is run, and shows nothing that the job carries.
    let why = stack
        .admin
        .get(&format!("/api/v1/jobs/{own}/why"))
        .await
        .expect(200);
    assert!(
        !why.text.contains("payload") && !why.text.contains("labels"),
        "{}",
        why.text
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_confined_key_is_confined_inside_a_tenant_too() {
    let stack = Stack::still().await;
    stack.create_tenant("acme").await;
    let order = json!({ "name": "support", "scopes": ["tenants:write", "jobs:read"] });
    let key = stack.admin.post("/api/v1/api-keys", &order).await;
    let support = stack.admin.with_key(&key.expect(201).text_of("api_key"));
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": "tenant-admin" });
    let begun = support.post(GRANTS, &order).await.expect(201);
    let acting = stack.admin.with_key(&begun.text_of("token"));
    acting.get("/api/v1/jobs").await.expect(200);
    acting
        .post("/api/v1/jobs", &json!({ "kind": "probe", "payload": {} }))
        .await
        .problem(403, "scope.insufficient");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_acts_in_the_platform_or_in_a_tenant_that_is_not_in_use() {
    let stack = Stack::still().await;
    stack.create_tenant("acme").await;
    let order = json!({ "reason": "ticket 42", "minutes": 5, "role": "tenant-admin" });
    let platform = GRANTS.replace("acme", "platform");
    stack
        .admin
        .post(&platform, &order)
        .await
        .problem(404, "not_found");
    let (_, acting) = begin(&stack, "viewer").await;
    acting.get("/api/v1/jobs").await.expect(200);
    let suspend = "/api/v1/tenants/acme/suspend";
    stack.admin.post(suspend, &json!({})).await.expect(200);
    stack
        .admin
        .post(GRANTS, &order)
        .await
        .problem(409, "tenant.state");
    eventually("the token is refused with its tenant", || async {
        (acting.get("/api/v1/jobs").await.status == 403).then_some(())
    })
    .await;
    stack.stop().await;
}
