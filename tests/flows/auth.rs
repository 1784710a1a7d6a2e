//! People log in, stay, change their password and leave; and whatever they lose, they lose at once.

mod api_keys;
mod endings;
mod refresh;
mod rotation;
mod secrets;

use chrono::TimeDelta;
use serde_json::{Value, json};
use unity_shared::{
    sessions::{NewPlatformAdmin, insert_platform_admin},
    tenancy::{Role, hash_password},
};

use crate::harness::{Answer, Caller, Stack, claims_of, eventually};

const ME: &str = "/api/v1/auth/me";
const JOBS: &str = "/api/v1/jobs";

/// What an answer says, without what differs between any two requests.
fn faceless(answer: &Answer) -> Value {
    let mut body = answer.json.clone();
    body["request_id"] = json!("-");
    json!([
        answer.status.as_u16(),
        body,
        answer.header("www-authenticate")
    ])
}

async fn change_password(caller: &Caller, current: &str, new: &str) -> Answer {
    let body = json!({ "current_password": current, "new_password": new });
    caller.post("/api/v1/auth/password", &body).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_does_what_their_role_may_and_logs_out() {
    let (stack, _) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("Member@acme.example", &[("acme", Role::TenantMember)])
        .await;
    let answer = stack
        .try_log_in("member@ACME.example", &person.password, None)
        .await
        .expect(200);
    assert_eq!(answer.json["token_type"], "Bearer");
    assert_eq!(answer.json["expires_in"], 900);
    assert_eq!(answer.header("cache-control"), "no-store");
    let session = stack.logged_in(&answer);
    let claims = claims_of(&session.access);
    assert_eq!(claims["tenant_id"], "acme");
    assert_eq!(claims["sub"], person.id.to_string());
    assert_eq!(
        claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(),
        900
    );
    let me = session.caller.get(ME).await.expect(200).json;
    assert_eq!(
        (&me["actor"], &me["role"], &me["tenant_id"], &me["email"]),
        (
            &json!("user"),
            &json!("tenant-member"),
            &json!("acme"),
            &json!("Member@acme.example")
        )
    );
    stack.probe(&session.caller, json!({})).await;
    let keys = session.caller.get("/api/v1/api-keys").await;
    keys.problem(403, "role.insufficient");
    session
        .caller
        .post("/api/v1/auth/logout", &json!({}))
        .await
        .expect(204);
    let refused = stack.refresh(&session.refresh).await;
    refused.problem(401, "refresh.invalid");
    eventually("the access token is refused", || async {
        (session.caller.get(ME).await.status == 401).then_some(())
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_of_two_tenants_says_which_and_gets_a_token_of_that_one() {
    let (stack, _) = Stack::still_now().await;
    for tenant in ["alpha", "alpha-b"] {
        stack.create_tenant(tenant).await;
    }
    let memberships = [
        ("alpha", Role::TenantAdmin),
        ("alpha-b", Role::TenantViewer),
    ];
    let person = stack.person("both@example.com", &memberships).await;
    let asked = stack
        .try_log_in(&person.email, &person.password, None)
        .await
        .problem(409, "tenant.ambiguous");
    let choices: Vec<&Value> = asked.json["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| &error["detail"])
        .collect();
    assert_eq!(choices, ["alpha", "alpha-b"]);
    // Before the password was right nobody learns that there is anything to choose.
    let guess = stack
        .try_log_in(&person.email, "a wrong password", None)
        .await;
    assert!(!guess.problem(401, "auth.failed").text.contains("alpha"));
    for (tenant, role, other) in [
        ("alpha", "tenant-admin", "alpha-b"),
        ("alpha-b", "tenant-viewer", "alpha"),
    ] {
        let session = stack.log_in(&person, Some(tenant)).await;
        let me = session.caller.get(ME).await.expect(200).json;
        assert_eq!(
            (&me["tenant_id"], &me["role"]),
            (&json!(tenant), &json!(role))
        );
        let own = session
            .caller
            .get(&format!("/api/v1/tenants/{tenant}"))
            .await;
        own.expect(200);
        let foreign = session
            .caller
            .get(&format!("/api/v1/tenants/{other}"))
            .await;
        foreign.problem(404, "not_found");
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_learns_nothing_of_why() {
    let (stack, _) = Stack::still_now().await;
    for tenant in ["acme", "other"] {
        stack.create_tenant(tenant).await;
    }
    let person = stack
        .person("known@example.com", &[("acme", Role::TenantViewer)])
        .await;
    let loner = stack.person("loner@example.com", &[]).await;
    let disabled = stack
        .person("disabled@example.com", &[("acme", Role::TenantViewer)])
        .await;
    stack
        .change("UPDATE users SET disabled_at = now() WHERE email = 'disabled@example.com'")
        .await;
    let right = person.password.as_str();
    let long = "x".repeat(5000);
    let mut faces = Vec::new();
    for (email, password, tenant) in [
        ("nobody@example.com", right, None),
        ("known@example.com", "a wrong password", None),
        ("known@example.com", "", None),
        ("known@example.com\u{0}", right, None),
        ("", "", None),
        ("known@example.com", right, Some("other")),
        ("known@example.com", right, Some("missing")),
        ("known@example.com", right, Some("ACME")),
        ("known@example.com", right, Some("acm")),
        (loner.email.as_str(), loner.password.as_str(), None),
        (disabled.email.as_str(), disabled.password.as_str(), None),
        (long.as_str(), right, None),
    ] {
        let answer = stack.try_log_in(email, password, tenant).await;
        faces.push(faceless(&answer.problem(401, "auth.failed")));
    }
    faces.dedup();
    assert_eq!(faces.len(), 1, "{faces:#?}");
    stack.log_in(&person, Some("acme")).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_password_is_good_for_nothing_but_changing_it() {
    let (stack, _) = Stack::still_now().await;
    let created = stack
        .admin
        .post(
            "/api/v1/tenants",
            &json!({ "id": "fresh", "name": "Fresh" }),
        )
        .await
        .expect(201);
    let (email, first) = (
        created.text_of("admin_email"),
        created.text_of("admin_password"),
    );
    let answer = stack.try_log_in(&email, &first, None).await.expect(200);
    let session = stack.logged_in(&answer);
    let me = session.caller.get(ME).await.expect(200).json;
    assert_eq!(me["must_change_password"], true);
    for path in [
        JOBS,
        "/api/v1/tenants/fresh",
        "/api/v1/api-keys",
        "/api/v1/events",
    ] {
        let refused = session.caller.get(path).await;
        refused.problem(403, "password.must_change");
    }
    let weak = format!("my {email}!");
    for (current, new, pointer) in [
        (first.as_str(), "too short", "/new_password"),
        (first.as_str(), first.as_str(), "/new_password"),
        (first.as_str(), weak.as_str(), "/new_password"),
        (
            "a wrong password",
            "long enough by far",
            "/current_password",
        ),
    ] {
        let refused = change_password(&session.caller, current, new).await;
        let refused = refused.problem(422, "validation.failed");
        assert_eq!(
            refused.json["errors"][0]["pointer"], pointer,
            "{}",
            refused.text
        );
    }
    let answer = change_password(&session.caller, &first, "long enough by far").await;
    let changed = stack.logged_in(&answer.expect(200));
    changed.caller.get(JOBS).await.expect(200);
    let me = changed.caller.get(ME).await.expect(200).json;
    assert_eq!(me["must_change_password"], false);
    let old = stack.try_log_in(&email, &first, None).await;
    old.problem(401, "auth.failed");
    let new = stack.try_log_in(&email, "long enough by far", None).await;
    new.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn changing_a_password_ends_every_other_session_and_every_token_before() {
    let (stack, _) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("changes@example.com", &[("acme", Role::TenantViewer)])
        .await;
    let (here, elsewhere) = (
        stack.log_in(&person, None).await,
        stack.log_in(&person, None).await,
    );
    for session in [&here, &elsewhere] {
        session.caller.get(JOBS).await.expect(200);
    }
    let answer = change_password(&here.caller, &person.password, "quite another one").await;
    let goes_on = stack.logged_in(&answer.expect(200));
    goes_on.caller.get(JOBS).await.expect(200);
    for session in [&here, &elsewhere] {
        eventually("the token before is refused", || async {
            (session.caller.get(JOBS).await.status == 401).then_some(())
        })
        .await;
        let refused = stack.refresh(&session.refresh).await;
        refused.problem(401, "refresh.invalid");
    }
    goes_on.caller.get(JOBS).await.expect(200);
    stack.refresh(&goes_on.refresh).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_are_limited_and_the_limit_says_nothing_of_the_account() {
    let (stack, clock) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("guessed@example.com", &[("acme", Role::TenantViewer)])
        .await;
    let mut faces = Vec::new();
    for email in [person.email.as_str(), "nobody@example.com"] {
        for _ in 0..10 {
            let answer = stack.try_log_in(email, "a wrong password", None).await;
            answer.problem(401, "auth.failed");
        }
        // The right password is no way around, or the limit would tell when it was found.
        let answer = stack.try_log_in(email, &person.password, None).await;
        let answer = answer.problem(429, "rate_limited");
        assert_eq!(answer.header("retry-after"), "900");
        faces.push(faceless(&answer));
    }
    assert_eq!(faces[0], faces[1]);
    let other = stack
        .person("other@example.com", &[("acme", Role::TenantViewer)])
        .await;
    stack.log_in(&other, None).await;
    clock.advance(TimeDelta::seconds(901));
    stack.log_in(&person, None).await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn logging_in_clears_what_was_mistyped_before() {
    let (stack, _) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("typo@example.com", &[("acme", Role::TenantViewer)])
        .await;
    for _ in 0..2 {
        for _ in 0..9 {
            let answer = stack
                .try_log_in(&person.email, "a wrong password", None)
                .await;
            answer.problem(401, "auth.failed");
        }
        stack.log_in(&person, None).await;
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_system_administrator_logs_in_to_the_platform() {
    let (stack, clock) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let admin = NewPlatformAdmin {
        email: "root@example.com".to_owned(),
        password_hash: hash_password("first password").unwrap(),
    };
    for is_new in [true, false] {
        let mut tx = stack.database.operator().begin().await.unwrap();
        let again = NewPlatformAdmin {
            password_hash: if is_new {
                admin.password_hash.clone()
            } else {
                "other".to_owned()
            },
            ..admin.clone()
        };
        let taken = insert_platform_admin(&mut tx, &again, clock.now()).await;
        assert_eq!(taken.unwrap(), is_new);
        tx.commit().await.unwrap();
    }
    let answer = stack
        .try_log_in("root@example.com", "first password", None)
        .await;
    let first = stack.logged_in(&answer.expect(200));
    assert!(claims_of(&first.access).get("tenant_id").is_none());
    let answer = change_password(&first.caller, "first password", "another password").await;
    let session = stack.logged_in(&answer.expect(200));
    let me = session.caller.get(ME).await.expect(200).json;
    assert_eq!(
        (&me["role"], &me["tenant_id"]),
        (&json!("system-admin"), &Value::Null)
    );
    session.caller.get("/api/v1/tenants/acme").await.expect(200);
    session
        .caller
        .get(JOBS)
        .await
        .problem(403, "tenant.required");
    // They are a member of no tenant.
    let refused = stack
        .try_log_in("root@example.com", "another password", Some("acme"))
        .await;
    refused.problem(401, "auth.failed");
    stack.change("UPDATE users SET platform_role = NULL").await;
    eventually("who manages the platform no more is refused", || async {
        (session.caller.get(ME).await.status == 401).then_some(())
    })
    .await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nothing_asks_for_any_more_is_forgotten() {
    let (stack, clock) = Stack::still_now().await;
    stack.create_tenant("acme").await;
    let person = stack
        .person("leaves@example.com", &[("acme", Role::TenantViewer)])
        .await;
    stack.log_in(&person, None).await;
    stack.tick().await;
    let rows = "SELECT (SELECT count(*) FROM sessions) + (SELECT count(*) FROM refresh_tokens)
                     + (SELECT count(*) FROM login_attempts)";
    assert_eq!(stack.count(rows).await, 5);
    clock.advance(TimeDelta::days(31));
    stack.tick().await;
    assert_eq!(stack.count(rows).await, 0);
    stack.stop().await;
}
