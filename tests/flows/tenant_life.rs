//! The steps of a tenant's life, and the order in which they can be taken.

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;
use unity_shared::tenancy::TenantStatus;

use crate::harness::{Answer, Stack, StackOptions};

async fn quiet() -> Stack {
    Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await
}

async fn step(stack: &Stack, tenant: &str, action: &str) -> Answer {
    let path = format!("/api/v1/tenants/{tenant}/{action}");
    stack.admin.post(&path, &json!({})).await
}

async fn delete(stack: &Stack, tenant: &str) -> Answer {
    stack
        .admin
        .delete(&format!("/api/v1/tenants/{tenant}"))
        .await
}

async fn shown(stack: &Stack, tenant: &str) -> Value {
    let path = format!("/api/v1/tenants/{tenant}");
    stack.admin.get(&path).await.expect(200).json
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_suspended_resumed_deleted_and_restored_as_it_was() {
    let stack = quiet().await;
    stack.create_tenant("life").await;
    let reason = json!({ "reason": "the bill" });
    let suspended = stack
        .admin
        .post("/api/v1/tenants/life/suspend", &reason)
        .await
        .expect(200);
    assert_eq!(suspended.json["status"], "suspended");
    assert_eq!(suspended.json["status_reason"], "the bill");
    assert!(suspended.json["suspended_at"].is_string());
    assert!(suspended.json["job_id"].is_null());
    let seen = stack.admin.get("/api/v1/tenants/life").await.expect(200);
    assert_eq!(seen.header("etag"), suspended.header("etag"));
    for wrong in ["suspend", "restore"] {
        let refused = step(&stack, "life", wrong)
            .await
            .problem(409, "tenant.state");
        assert_eq!(refused.json["tenant_status"], "suspended");
    }
    // Deleted while it was suspended: so it is when it comes back.
    let deleted = delete(&stack, "life").await.expect(200).json;
    assert_eq!(deleted["status"], "deleted");
    let until: chrono::DateTime<chrono::Utc> =
        deleted["purge_after"].as_str().unwrap().parse().unwrap();
    let left = until - stack.clock.now();
    assert!((left.num_hours() - 30 * 24).abs() <= 1, "{left}");
    for wrong in ["suspend", "resume"] {
        let refused = step(&stack, "life", wrong)
            .await
            .problem(409, "tenant.state");
        assert_eq!(refused.json["tenant_status"], "deleted");
    }
    delete(&stack, "life").await.problem(409, "tenant.state");
    step(&stack, "life", "purge")
        .await
        .problem(409, "tenant.grace_period");
    let restored = step(&stack, "life", "restore").await.expect(200).json;
    assert_eq!(restored["status"], "suspended");
    assert!(restored["deleted_at"].is_null() && restored["purge_after"].is_null());
    let resumed = step(&stack, "life", "resume").await.expect(200).json;
    assert_eq!(resumed["status"], "active");
    assert!(resumed["suspended_at"].is_null() && resumed["job_id"].is_string());
    delete(&stack, "life").await.expect(200);
    step(&stack, "life", "restore").await.expect(200);
    assert_eq!(shown(&stack, "life").await["status"], "active");
    for missing in ["nobody", "platform", "LIFE"] {
        step(&stack, missing, "suspend")
            .await
            .problem(404, "not_found");
        delete(&stack, missing).await.problem(404, "not_found");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_is_taken_for_the_named_version_and_once_for_a_key() {
    let stack = quiet().await;
    for tenant in ["versioned", "beside"] {
        stack.create_tenant(tenant).await;
    }
    let path = "/api/v1/tenants/versioned";
    let etag = stack
        .admin
        .get(path)
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let renamed = json!({ "name": "Other" });
    stack.admin.patch(path, &renamed).await.expect(200);
    let old = [("if-match", etag.as_str())];
    stack
        .admin
        .send(reqwest::Method::DELETE, path, &old, None)
        .await
        .problem(412, "precondition.failed");
    let suspend = format!("{path}/suspend");
    stack
        .admin
        .post_with(&suspend, &json!({}), &old)
        .await
        .problem(412, "precondition.failed");
    let key = [("idempotency-key", "once")];
    let first = stack
        .admin
        .post_with(&suspend, &json!({}), &key)
        .await
        .expect(200);
    let again = stack
        .admin
        .post_with(&suspend, &json!({}), &key)
        .await
        .expect(200);
    assert_eq!(again.json, first.json);
    assert_eq!(again.header("idempotency-replayed"), "true");
    // The same key for another tenant is another request.
    stack
        .admin
        .post_with("/api/v1/tenants/beside/suspend", &json!({}), &key)
        .await
        .problem(422, "idempotency.mismatch");
    assert_eq!(shown(&stack, "beside").await["status"], "active");
    let current = stack
        .admin
        .get(path)
        .await
        .expect(200)
        .header("etag")
        .to_owned();
    let headers = [("if-match", current.as_str())];
    stack
        .admin
        .send(reqwest::Method::DELETE, path, &headers, None)
        .await
        .expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_is_filtered_and_searched_and_shows_no_platform() {
    let stack = quiet().await;
    for (id, name, plan) in [
        ("alpha", "Alpha 100%", "free"),
        ("bravo", "Bravo_1", "pro"),
        ("charlie", "CHARLIE", "pro"),
    ] {
        let body = json!({ "id": id, "name": name, "plan": plan });
        stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    }
    step(&stack, "charlie", "suspend").await.expect(200);
    for (query, expected) in [
        ("", &["alpha", "bravo", "charlie"][..]),
        ("?plan=pro", &["bravo", "charlie"]),
        ("?status=suspended", &["charlie"]),
        ("?status=active&plan=pro", &["bravo"]),
        ("?status=purged", &[]),
        ("?q=charlie", &["charlie"]),
        ("?q=HARL", &["charlie"]),
        // What would be a pattern elsewhere is text here.
        ("?q=%25", &["alpha"]),
        ("?q=_", &["bravo"]),
        ("?q=platform", &[]),
        ("?q=%27%20OR%20true--", &[]),
    ] {
        let path = format!("/api/v1/tenants{query}");
        let page = stack.admin.get(&path).await.expect(200).json;
        let ids: Vec<&str> = page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|tenant| tenant["tenant_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids, expected, "{query}");
    }
    let first = stack
        .admin
        .get("/api/v1/tenants?limit=1&q=a")
        .await
        .expect(200);
    let token = first.text_of("next_page_token");
    let next = format!("/api/v1/tenants?limit=1&q=a&page_token={token}");
    assert_eq!(
        stack.admin.get(&next).await.expect(200).json["items"][0]["tenant_id"],
        "bravo"
    );
    for bad in [
        format!("?limit=1&q=b&page_token={token}"),
        "?q=".to_owned(),
        format!("?q={}", "a".repeat(101)),
        "?q=%00".to_owned(),
        "?status=gone".to_owned(),
        "?plan=gold".to_owned(),
    ] {
        let path = format!("/api/v1/tenants{bad}");
        stack.admin.get(&path).await.expect(400);
    }
    stack.stop().await;
}

/// The state is brought about by disabling the guard, and the step is tried with the guard on.
#[tokio::test(flavor = "multi_thread")]
async fn the_database_allows_the_steps_of_the_table_and_no_others_whoever_tries() {
    let stack = quiet().await;
    stack.create_tenant("guarded").await;
    let mut owner = stack.owner().await;
    let dates = |status: TenantStatus| match status {
        TenantStatus::Active => {
            "suspended_at = NULL, deleted_at = NULL, purge_after = NULL, purged_at = NULL"
        }
        TenantStatus::Suspended => {
            "suspended_at = now(), deleted_at = NULL, purge_after = NULL, purged_at = NULL"
        }
        TenantStatus::Deleted | TenantStatus::Purging => {
            "deleted_at = now(), purge_after = now(), purged_at = NULL"
        }
        TenantStatus::Purged => "deleted_at = now(), purge_after = now(), purged_at = now()",
    };
    let set = |status: TenantStatus| {
        format!(
            "UPDATE tenants SET status = '{}', {} WHERE id = 'guarded'",
            status.as_str(),
            dates(status)
        )
    };
    for from in TenantStatus::ALL {
        for to in TenantStatus::ALL {
            let prepare = format!(
                "ALTER TABLE tenants DISABLE TRIGGER guard_tenant_life; {}; \
                 ALTER TABLE tenants ENABLE ALWAYS TRIGGER guard_tenant_life",
                set(from)
            );
            sqlx::raw_sql(AssertSqlSafe(prepare))
                .execute(&mut owner)
                .await
                .unwrap();
            let tried = sqlx::raw_sql(AssertSqlSafe(set(to)))
                .execute(&mut owner)
                .await;
            let allowed = from == to || from.may_become(to);
            assert_eq!(tried.is_ok(), allowed, "{from:?} to {to:?}");
            if let Err(sqlx::Error::Database(error)) = tried {
                assert_eq!(error.constraint(), Some("tenants_life"));
            }
        }
    }
    for forbidden in [
        "DELETE FROM tenants WHERE id = 'guarded'",
        "UPDATE tenants SET uid = gen_random_uuid() WHERE id = 'guarded'",
        "UPDATE tenants SET id = 'renamed' WHERE id = 'guarded'",
        "UPDATE tenants SET status = 'suspended', suspended_at = now() WHERE id = 'platform'",
        "UPDATE tenants SET status = 'deleted', deleted_at = now(), purge_after = now() WHERE id = 'platform'",
        "INSERT INTO tenants (id, uid, name, plan, status, suspended_at, created_at, updated_at)
         VALUES ('born', gen_random_uuid(), 'x', 'free', 'suspended', now(), now(), now())",
        "INSERT INTO api_keys (id, tenant_id, name, role, hash, prefix, created_at)
         VALUES (gen_random_uuid(), 'platform', 'x', 'tenant-admin', 'x', 'x', now())",
    ] {
        let tried = sqlx::raw_sql(forbidden).execute(&mut owner).await;
        assert!(tried.is_err(), "{forbidden}");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_changes_what_belongs_to_a_tenant_that_is_deleted() {
    let stack = quiet().await;
    let admin = stack.create_tenant("life").await;
    let members = "/api/v1/tenants/life/members";
    let member = admin.get(members).await.expect(200).json["items"][0]["user_id"].clone();
    let member = format!("{members}/{}", member.as_str().unwrap());
    let order = json!({ "email": "new@people.example", "role": "viewer" });
    let invited = stack.admin.post(members, &order).await.expect(201);
    let invitation = invited.header("location").to_owned();
    let resend = format!("{invitation}/resend");
    let provider = "/api/v1/tenants/life/identity-provider";
    let provider_order = json!({
        "issuer": "https://login.example", "client_id": "unity", "client_secret": "secret",
    });
    let until = stack.clock.now() + chrono::TimeDelta::days(1);
    let switch = json!({
        "scope": { "tenant": "life" }, "action": "pause", "reason": "hot", "expires_at": until,
    });
    // A suspended one is still managed.
    step(&stack, "life", "suspend").await.expect(200);
    let set = stack.admin.put(provider, &provider_order).await;
    set.expect(200);
    stack
        .admin
        .post("/api/v1/switches", &switch)
        .await
        .expect(201);
    delete(&stack, "life").await.expect(200);
    for (status, change) in [
        (
            "deleted",
            "UPDATE tenants SET purge_after = now() WHERE id = 'life'",
        ),
        (
            "purging",
            "UPDATE tenants SET status = 'purging' WHERE id = 'life'",
        ),
        (
            "purged",
            "UPDATE tenants SET status = 'purged', purged_at = now() WHERE id = 'life'",
        ),
    ] {
        stack.change(change).await;
        let order = json!({ "email": "newer@people.example", "role": "viewer" });
        let role = json!({ "role": "viewer" });
        for refused in [
            stack.admin.put(provider, &provider_order).await,
            stack.admin.delete(provider).await,
            stack.admin.post(members, &order).await,
            stack.admin.patch(&member, &role).await,
            stack.admin.delete(&member).await,
            stack.admin.post(&resend, &json!({})).await,
            stack.admin.delete(&invitation).await,
            stack.admin.post("/api/v1/switches", &switch).await,
        ] {
            let refused = refused.problem(409, "tenant.state");
            assert_eq!(refused.json["tenant_status"], status);
        }
    }
    stack.stop().await;
}
