//! Signing in by a tenant's own identity provider.

use reqwest::{Client, Response, header, redirect::Policy};
use serde_json::{Value, json};

use super::{PASSWORD, accept, invite, members, stack_with_mail, token_of};
use crate::harness::{CLIENT_ID, CLIENT_SECRET, Caller, IdentityProvider, Lies, Stack};

/// A browser: it keeps the one cookie that it is given, and follows no redirect by itself.
pub struct Browser {
    client: Client,
    cookie: Option<String>,
}

impl Browser {
    pub fn new() -> Self {
        let client = Client::builder().redirect(Policy::none()).build().unwrap();
        Self {
            client,
            cookie: None,
        }
    }

    pub async fn get(&mut self, url: &str) -> Response {
        let mut request = self.client.get(url);
        if let Some(cookie) = &self.cookie {
            request = request.header(header::COOKIE, cookie);
        }
        let answer = request.send().await.unwrap();
        if let Some(set) = answer.headers().get(header::SET_COOKIE) {
            let set = set.to_str().unwrap();
            assert!(
                set.contains("HttpOnly") && set.contains("SameSite=Lax"),
                "{set}"
            );
            self.cookie = Some(set.split(';').next().unwrap().to_owned());
        }
        answer
    }

    /// Begins a sign-in and lets the provider answer: where the provider sends the browser back to.
    pub async fn sign_in_at_the_provider(&mut self, stack: &Stack, tenant: &str) -> String {
        let start = format!("{}/api/v1/auth/oidc/{tenant}/start", stack.api_url);
        let sent = self.get(&start).await;
        assert_eq!(sent.status(), 303, "{}", sent.text().await.unwrap());
        let entrance = location(&sent);
        location(&self.client.get(entrance).send().await.unwrap())
    }
}

fn location(answer: &Response) -> String {
    answer.headers()[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}

pub async fn refused(answer: Response) {
    let status = answer.status();
    let body: Value = answer.json().await.unwrap();
    assert_eq!(
        (status.as_u16(), &body["code"]),
        (401, &json!("sign_in.failed")),
        "{body}"
    );
}

pub async fn set_provider(
    caller: &Caller,
    tenant: &str,
    provider: &IdentityProvider,
    default_role: Option<&str>,
) {
    let order = json!({
        "issuer": provider.url, "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET,
        "default_role": default_role, "email_domains": ["people.example"],
    });
    let path = format!("/api/v1/tenants/{tenant}/identity-provider");
    let set = caller.put(&path, &order).await.expect(200);
    assert!(!set.text.contains(CLIENT_SECRET), "{}", set.text);
}

/// The whole way; the answer is that of the callback.
pub async fn sign_in(stack: &Stack, tenant: &str) -> Response {
    let mut browser = Browser::new();
    let back = browser.sign_in_at_the_provider(stack, tenant).await;
    browser.get(&back).await
}

pub async fn caller_of(stack: &Stack, answer: Response) -> Caller {
    let status = answer.status();
    let tokens: Value = answer.json().await.unwrap();
    assert_eq!(status, 200, "{tokens}");
    stack
        .admin
        .with_key(tokens["access_token"].as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whom_the_tenants_provider_knows_is_let_in_and_stays_the_same_person() {
    let (stack, _mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("member")).await;
    provider.log_in("subject-1", "new@people.example");
    let person = caller_of(&stack, sign_in(&stack, "acme").await).await;
    let me = person.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(
        (&me.json["tenant_id"], &me.json["role"]),
        (&json!("acme"), &json!("tenant-member"))
    );
    // Its name for them counts, not an address that may be another's tomorrow.
    provider.log_in("subject-1", "renamed@people.example");
    let again = caller_of(&stack, sign_in(&stack, "acme").await).await;
    let same = again.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(same.json["user_id"], me.json["user_id"]);
    assert_eq!(members(&admin, "acme").await.len(), 2);
    // Whoever is removed is let in by nobody's word, until they have accepted an invitation.
    let path = format!("/api/v1/tenants/acme/members/{}", me.text_of("user_id"));
    admin.delete(&path).await.expect(204);
    provider.log_in("subject-1", "new@people.example");
    refused(sign_in(&stack, "acme").await).await;
    let invited = invite(&admin, "acme", "new@people.example", "viewer").await;
    let token = token_of(&invited.expect(201));
    refused(sign_in(&stack, "acme").await).await;
    accept(&stack, &token, PASSWORD).await.expect(200);
    let back = caller_of(&stack, sign_in(&stack, "acme").await).await;
    let back = back.get("/api/v1/auth/me").await.expect(200);
    assert_eq!(back.json["role"], "tenant-viewer");
    assert_eq!(back.json["user_id"], me.json["user_id"]);
    let log = admin.get("/api/v1/audit-log?limit=200").await.expect(200);
    let told = |action: &str| {
        let all = log.json["items"].as_array().unwrap().iter();
        all.filter(|told| told["action"] == action).count()
    };
    assert_eq!((told("session.begin"), told("member.add")), (3, 1));
    assert_eq!(told("access.denied"), 2, "{}", log.text);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_not_the_answer_to_our_question_is_refused() {
    let (stack, _mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    provider.log_in("1", "new@people.example");
    for lies in [
        Lies {
            nonce: Some("another".to_owned()),
            ..Lies::default()
        },
        Lies {
            audience: Some("somebody else".to_owned()),
            ..Lies::default()
        },
        Lies {
            issuer: Some("http://127.0.0.1:1".to_owned()),
            ..Lies::default()
        },
        Lies {
            email_verified: Some(false),
            ..Lies::default()
        },
        Lies {
            expired: true,
            ..Lies::default()
        },
        Lies {
            other_key: true,
            ..Lies::default()
        },
        Lies {
            unsigned: true,
            ..Lies::default()
        },
    ] {
        provider.lie(lies.clone());
        let answer = sign_in(&stack, "acme").await;
        assert_eq!(answer.status(), 401, "{lies:?}");
        refused(answer).await;
    }
    provider.lie(Lies::default());
    provider.log_in("1", "somebody@elsewhere.example");
    refused(sign_in(&stack, "acme").await).await;
    assert_eq!(members(&admin, "acme").await.len(), 1);
    provider.log_in("1", "new@people.example");
    caller_of(&stack, sign_in(&stack, "acme").await).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_state_is_good_once_in_the_browser_that_began() {
    let (stack, _mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, Some("viewer")).await;
    provider.log_in("1", "new@people.example");
    // Another browser, as when somebody is made to open a link that logs them in as another.
    let (mut own, mut other) = (Browser::new(), Browser::new());
    let back = own.sign_in_at_the_provider(&stack, "acme").await;
    refused(Browser::new().get(&back).await).await;
    // Nobody else can use it up.
    assert_eq!(own.get(&back).await.status(), 200);
    let back = own.sign_in_at_the_provider(&stack, "acme").await;
    other.sign_in_at_the_provider(&stack, "acme").await;
    refused(other.get(&back).await).await;
    // Again, and once more.
    let back = own.sign_in_at_the_provider(&stack, "acme").await;
    let cookie = own.cookie.clone();
    assert_eq!(own.get(&back).await.status(), 200);
    own.cookie = cookie;
    refused(own.get(&back).await).await;
    // What was never begun.
    for query in [
        "",
        "?state=",
        "?state=acme.x&code=x",
        "?code=x",
        "?error=access_denied",
    ] {
        let url = format!("{}/api/v1/auth/oidc/callback{query}", stack.api_url);
        refused(own.get(&url).await).await;
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_comes_in_over_the_quota_or_without_a_default_role() {
    let (stack, _mailbox) = stack_with_mail().await;
    let body = json!({ "id": "small", "name": "Small", "resource_quota": { "users": 2 } });
    let created = stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    let admin = stack.admin.with_key(&created.text_of("api_key"));
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "small", &provider, None).await;
    provider.log_in("1", "one@people.example");
    refused(sign_in(&stack, "small").await).await;
    set_provider(&admin, "small", &provider, Some("viewer")).await;
    caller_of(&stack, sign_in(&stack, "small").await).await;
    provider.log_in("2", "two@people.example");
    let full = sign_in(&stack, "small").await;
    assert_eq!(full.status(), 429, "{}", full.text().await.unwrap());
    let users = stack
        .count("SELECT count(*) FROM users WHERE email LIKE '%@people.example'")
        .await;
    assert_eq!(users, 1, "nothing is left of who was not let in");
    invite(&admin, "small", "two@people.example", "viewer")
        .await
        .problem(429, "quota_exceeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_providers_secret_is_encrypted_and_shown_to_nobody() {
    let (stack, _mailbox) = stack_with_mail().await;
    let admin = stack.create_tenant("acme").await;
    let provider = IdentityProvider::start().await;
    set_provider(&admin, "acme", &provider, None).await;
    let path = "/api/v1/tenants/acme/identity-provider";
    let shown = admin.get(path).await.expect(200);
    assert!(!shown.text.contains(CLIENT_SECRET));
    assert_eq!(
        shown.json["redirect_uri"],
        format!("{}/api/v1/auth/oidc/callback", stack.api_url)
    );
    let kept: Vec<u8> = sqlx::query_scalar("SELECT sealed_secret FROM identity_providers")
        .fetch_one(&mut stack.owner().await)
        .await
        .unwrap();
    assert!(
        !kept
            .windows(8)
            .any(|part| part == &CLIENT_SECRET.as_bytes()[..8])
    );
    admin.delete(path).await.expect(204);
    admin.get(path).await.problem(404, "not_found");
    for tenant in ["acme", "nobody"] {
        let start = format!("/api/v1/auth/oidc/{tenant}/start");
        stack
            .admin
            .without_key()
            .get(&start)
            .await
            .problem(404, "not_found");
    }
    stack.finish().await;
}
