//! How far the word of a tenant's identity provider reaches: to its own members, and to people whom nobody
//! knows. Never into an account that somebody has, and never into another tenant.

use serde_json::{Value, json};
use unity_shared::{
    sessions::{NewPlatformAdmin, insert_platform_admin},
    tenancy::hash_password,
};

use super::{
    ACCEPT, PASSWORD, accept, enter, invite, log_in, logged_in, members,
    sign_in::{Browser, caller_of, refused, set_provider, sign_in},
    token_of,
};
use crate::harness::{Answer, Caller, IdentityProvider, Stack, eventually};

const ME: &str = "/api/v1/auth/me";

/// Two tenants; the first has a provider that lets people in as viewers.
async fn alpha_with_a_provider_and_bravo(stack: &Stack) -> (Caller, Caller, IdentityProvider) {
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    let provider = IdentityProvider::start().await;
    set_provider(&alpha, "alpha", &provider, Some("viewer")).await;
    (alpha, bravo, provider)
}

async fn status_of(invited: &Answer, caller: &Caller) -> Value {
    let path = invited.header("location").to_owned();
    caller.get(&path).await.expect(200).json["status"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_with_an_account_becomes_a_member_by_a_providers_word_also_if_they_are_invited() {
    let (stack, _) = Stack::still_now().await;
    let (alpha, bravo, provider) = alpha_with_a_provider_and_bravo(&stack).await;
    let email = "bob@people.example";
    enter(&stack, &bravo, "bravo", (email, "admin")).await;
    provider.log_in("1", email);
    refused(sign_in(&stack, "alpha").await).await;
    let invited = invite(&alpha, "alpha", email, "member").await.expect(201);
    refused(sign_in(&stack, "alpha").await).await;
    assert_eq!(members(&alpha, "alpha").await.len(), 1);
    assert_eq!(status_of(&invited, &alpha).await, "pending");
    // Bob accepts what is in his mail; from then on the provider's word is good for him, there only.
    accept(&stack, &token_of(&invited), PASSWORD)
        .await
        .expect(200);
    let person = caller_of(&stack, sign_in(&stack, "alpha").await).await;
    let me = person.get(ME).await.expect(200);
    assert_eq!(
        (&me.json["tenant_id"], &me.json["role"]),
        (&json!("alpha"), &json!("tenant-member"))
    );
    person
        .get("/api/v1/tenants/bravo/members")
        .await
        .problem(404, "not_found");
    logged_in(&stack, email, "bravo").await;
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_without_a_free_place_is_told_the_same_of_every_address() {
    let (stack, _) = Stack::still_now().await;
    let bravo = stack.create_tenant("bravo").await;
    let body = json!({ "id": "small", "name": "Small", "resource_quota": { "users": 1 } });
    let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    let small = stack.admin.with_key(&created.text_of("api_key"));
    let provider = IdentityProvider::start().await;
    set_provider(&small, "small", &provider, Some("viewer")).await;
    enter(&stack, &bravo, "bravo", ("known@people.example", "viewer")).await;
    let mut faces = Vec::new();
    for (subject, email) in [
        ("1", "known@people.example"),
        ("2", "unknown@people.example"),
    ] {
        provider.log_in(subject, email);
        let answer = sign_in(&stack, "small").await;
        let status = answer.status().as_u16();
        let mut body: Value = answer.json().await.unwrap();
        body["request_id"] = json!("-");
        body["instance"] = json!("-");
        faces.push((status, body));
    }
    assert_eq!(faces[0].0, 429, "{faces:#?}");
    assert_eq!(faces[0], faces[1]);
    // Nor does it differ where nobody comes in without an invitation.
    set_provider(&small, "small", &provider, None).await;
    for email in ["known@people.example", "unknown@people.example"] {
        provider.log_in("3", email);
        refused(sign_in(&stack, "small").await).await;
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_the_mails_takes_over_an_account_that_a_provider_made() {
    let (stack, _) = Stack::still_now().await;
    let (_alpha, bravo, provider) = alpha_with_a_provider_and_bravo(&stack).await;
    let email = "ceo@people.example";
    provider.log_in("1", email);
    let squatter = caller_of(&stack, sign_in(&stack, "alpha").await).await;
    let seen = squatter.get(ME).await.expect(200);
    let invited = invite(&bravo, "bravo", email, "admin").await.expect(201);
    let token = token_of(&invited);
    // A first password has to be a good one, and the provider's session does not replace it.
    accept(&stack, &token, "short")
        .await
        .problem(422, "validation.failed");
    squatter
        .post(ACCEPT, &json!({ "token": token }))
        .await
        .problem(422, "validation.failed");
    let order = json!({ "token": token, "name": "The Owner", "password": PASSWORD });
    let admitted = stack.admin.without_key().post(ACCEPT, &order).await;
    let admitted = admitted.expect(200);
    assert_eq!(admitted.json["user_id"], seen.json["user_id"]);
    let owner = logged_in(&stack, email, "bravo").await;
    let all = members(&owner, "bravo").await;
    assert!(all.iter().any(|member| member["name"] == "The Owner"));
    // What alpha's provider had opened has ended.
    eventually("the provider's session ends", || async {
        (squatter.get(ME).await.status == 401).then_some(())
    })
    .await;
    // The password is the owner's now: the next code does not set another.
    let again = invite(&bravo, "bravo", email, "viewer").await;
    again.problem(409, "member.exists");
    log_in(&stack, email, "another long password", "bravo")
        .await
        .problem(401, "auth.failed");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_a_provider_opened_proves_nothing_to_another_tenant() {
    let (stack, _) = Stack::still_now().await;
    let (alpha, bravo, provider) = alpha_with_a_provider_and_bravo(&stack).await;
    let email = "both@people.example";
    enter(&stack, &alpha, "alpha", (email, "viewer")).await;
    provider.log_in("1", email);
    let by_provider = caller_of(&stack, sign_in(&stack, "alpha").await).await;
    let invited = invite(&bravo, "bravo", email, "admin").await.expect(201);
    let order = json!({ "token": token_of(&invited) });
    by_provider
        .post(ACCEPT, &order)
        .await
        .problem(401, "invitation.needs_login");
    assert_eq!(status_of(&invited, &bravo).await, "pending");
    // One that their password opened does.
    let by_password = logged_in(&stack, email, "alpha").await;
    by_password.post(ACCEPT, &order).await.expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_becomes_an_administrator_and_has_no_password_gets_one() {
    let (stack, _) = Stack::still_now().await;
    let (_alpha, _bravo, provider) = alpha_with_a_provider_and_bravo(&stack).await;
    provider.log_in("1", "boss@people.example");
    caller_of(&stack, sign_in(&stack, "alpha").await).await;
    let order = json!({ "id": "charlie", "name": "Charlie", "admin_email": "boss@people.example" });
    let created = stack.admin.post("/api/v1/tenants", &order).await;
    let password = created.expect(201).text_of("admin_password");
    log_in(&stack, "boss@people.example", &password, "charlie")
        .await
        .expect(200);
    // The same for one of the platform.
    provider.log_in("2", "root@people.example");
    caller_of(&stack, sign_in(&stack, "alpha").await).await;
    let admin = NewPlatformAdmin {
        email: "Root@people.example".to_owned(),
        password_hash: hash_password(PASSWORD).unwrap(),
    };
    let mut tx = stack.database.operator().begin().await.unwrap();
    let now = stack.clock.now();
    assert!(insert_platform_admin(&mut tx, &admin, now).await.unwrap());
    let other = NewPlatformAdmin {
        password_hash: hash_password("another long password").unwrap(),
        ..admin
    };
    assert!(!insert_platform_admin(&mut tx, &other, now).await.unwrap());
    tx.commit().await.unwrap();
    let root = stack
        .try_log_in("root@people.example", PASSWORD, None)
        .await;
    let me = stack.logged_in(&root.expect(200)).caller.get(ME).await;
    assert_eq!(me.expect(200).json["must_change_password"], true);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn people_come_in_without_an_invitation_by_their_domain_and_not_as_administrators() {
    let (stack, _) = Stack::still_now().await;
    let admin = stack.create_tenant("acme").await;
    let path = "/api/v1/tenants/acme/identity-provider";
    let order = |role: &str, domains: Value| {
        json!({
            "issuer": "https://login.example", "client_id": "unity", "client_secret": "secret",
            "default_role": role, "email_domains": domains,
        })
    };
    for (role, domains) in [
        ("viewer", json!([])),
        ("viewer", Value::Null),
        ("admin", json!(["acme.example"])),
    ] {
        let refused = admin.put(path, &order(role, domains)).await;
        let refused = refused.problem(422, "validation.failed");
        assert_eq!(refused.json["errors"][0]["pointer"], "/default_role");
    }
    admin
        .put(path, &order("member", json!(["acme.example"])))
        .await
        .expect(200);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_answer_is_good_for_its_own_tenants_sign_in_alone() {
    let (stack, _) = Stack::still_now().await;
    let (_alpha, bravo, of_alpha) = alpha_with_a_provider_and_bravo(&stack).await;
    let of_bravo = IdentityProvider::start().await;
    set_provider(&bravo, "bravo", &of_bravo, Some("viewer")).await;
    of_alpha.log_in("1", "somebody@people.example");
    let mut browser = Browser::new();
    // The state of one tenant's sign-in does not open another's.
    let back = browser.sign_in_at_the_provider(&stack, "alpha").await;
    let other = back.replace("state=alpha.", "state=bravo.");
    refused(browser.get(&other).await).await;
    // An answer that says it is another provider's, and a token that does.
    let back = browser.sign_in_at_the_provider(&stack, "alpha").await;
    let url = format!("{back}&iss={}", of_bravo.url);
    refused(browser.get(&url).await).await;
    let back = browser.sign_in_at_the_provider(&stack, "alpha").await;
    of_alpha.pretend_to_be(&of_bravo.url);
    refused(browser.get(&back).await).await;
    assert_eq!(members(&bravo, "bravo").await.len(), 1);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invitation_that_nobody_accepted_in_time_keeps_no_place_from_anybody() {
    let (stack, clock) = Stack::still_now().await;
    let body = json!({ "id": "small", "name": "Small", "resource_quota": { "users": 2 } });
    let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    let small = stack.admin.with_key(&created.text_of("api_key"));
    let provider = IdentityProvider::start().await;
    set_provider(&small, "small", &provider, Some("viewer")).await;
    invite(&small, "small", "late@people.example", "viewer")
        .await
        .expect(201);
    let used = async || {
        let usage = small.get("/api/v1/tenants/small/usage").await.expect(200);
        usage.json["users"]["used"].clone()
    };
    assert_eq!(used().await, 2);
    provider.log_in("1", "new@people.example");
    assert_eq!(sign_in(&stack, "small").await.status(), 429);
    clock.advance(chrono::TimeDelta::days(8));
    assert_eq!(used().await, 1);
    // The provider's clock is not the one that has moved.
    provider.shift(chrono::TimeDelta::days(8));
    caller_of(&stack, sign_in(&stack, "small").await).await;
    assert_eq!(used().await, 2);
    stack.stop().await;
}
