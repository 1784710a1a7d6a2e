//! A small `OpenID` provider of a tenant's own: discovery, keys, authorization and token endpoints over
//! HTTP, and whatever lie a test wants it to tell.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use chrono::TimeDelta;
use openidconnect::{
    PrivateSigningKey,
    core::{CoreEdDsaPrivateSigningKey, CoreJwsSigningAlgorithm},
    url::form_urlencoded,
};
use ring::{rand::SystemRandom, signature::Ed25519KeyPair};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

/// What the provider says in its next tokens. Absent = the truth.
#[derive(Debug, Clone, Default)]
pub struct Lies {
    pub nonce: Option<String>,
    pub audience: Option<String>,
    pub issuer: Option<String>,
    pub email_verified: Option<bool>,
    pub expired: bool,
    /// Signs with a key that it does not publish.
    pub other_key: bool,
    /// Claims to have signed with nothing.
    pub unsigned: bool,
}

/// Who is logged in at the provider.
#[derive(Debug, Clone)]
pub struct Person {
    pub subject: String,
    pub email: String,
}

struct Inner {
    url: Mutex<String>,
    key: Mutex<CoreEdDsaPrivateSigningKey>,
    other: CoreEdDsaPrivateSigningKey,
    person: Mutex<Person>,
    lies: Mutex<Lies>,
    /// Code to nonce, PKCE challenge and redirect address; each is good once.
    codes: Mutex<HashMap<String, [String; 3]>>,
    /// How often it was asked about itself.
    asked: AtomicU64,
    is_away: AtomicBool,
    /// How far ahead of the machine's its date is, in seconds.
    ahead: AtomicI64,
}

/// The provider. It stops when it is dropped.
pub struct IdentityProvider {
    pub url: String,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

pub const CLIENT_ID: &str = "unity";
pub const CLIENT_SECRET: &str = "a secret with : and % in it";

impl Drop for IdentityProvider {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn new_key() -> CoreEdDsaPrivateSigningKey {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let label = "PRIVATE KEY";
    // Lines of 64 characters, as RFC 7468 has them.
    let text = STANDARD.encode(pkcs8.as_ref());
    let (first, rest) = text.split_at(64);
    let pem = format!("-----BEGIN {label}-----\n{first}\n{rest}\n-----END {label}-----\n");
    CoreEdDsaPrivateSigningKey::from_ed25519_pem(&pem, None).unwrap()
}

impl IdentityProvider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let inner = Arc::new(Inner {
            url: Mutex::new(url.clone()),
            key: Mutex::new(new_key()),
            other: new_key(),
            person: Mutex::new(Person {
                subject: "1".to_owned(),
                email: "nobody@people.example".to_owned(),
            }),
            lies: Mutex::default(),
            codes: Mutex::default(),
            asked: AtomicU64::new(0),
            is_away: AtomicBool::new(false),
            ahead: AtomicI64::new(0),
        });
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery))
            .route("/keys", get(keys))
            .route("/authorize", get(authorize))
            .route("/token", post(token))
            .with_state(Arc::clone(&inner));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, inner, server }
    }

    pub fn log_in(&self, subject: &str, email: &str) {
        *self.inner.person.lock().unwrap() = Person {
            subject: subject.to_owned(),
            email: email.to_owned(),
        };
    }

    pub fn lie(&self, lies: Lies) {
        *self.inner.lies.lock().unwrap() = lies;
    }

    /// How often it was asked about itself.
    pub fn asked(&self) -> u64 {
        self.inner.asked.load(Ordering::Relaxed)
    }

    /// From now on it says nothing about itself that makes sense, or does again.
    pub fn go_away(&self, is_away: bool) {
        self.inner.is_away.store(is_away, Ordering::Relaxed);
    }

    /// Sets its date so far ahead of the machine's.
    pub fn shift(&self, ahead: TimeDelta) {
        self.inner
            .ahead
            .store(ahead.num_seconds(), Ordering::Relaxed);
    }

    /// From now on it signs with another key, and publishes that.
    pub fn change_key(&self) {
        *self.inner.key.lock().unwrap() = new_key();
    }

    /// Says in its discovery document that it is somebody else.
    pub fn pretend_to_be(&self, url: &str) {
        url.clone_into(&mut self.inner.url.lock().unwrap());
    }
}

type Shared = State<Arc<Inner>>;

async fn discovery(State(inner): Shared) -> Json<Value> {
    inner.asked.fetch_add(1, Ordering::Relaxed);
    if inner.is_away.load(Ordering::Relaxed) {
        return Json(json!({ "under": "construction" }));
    }
    let url = inner.url.lock().unwrap().clone();
    Json(json!({
        "issuer": url,
        "authorization_endpoint": format!("{url}/authorize"),
        "token_endpoint": format!("{url}/token"),
        "jwks_uri": format!("{url}/keys"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA"],
    }))
}

async fn keys(State(inner): Shared) -> Json<Value> {
    let key = inner.key.lock().unwrap().as_verification_key();
    Json(json!({ "keys": [key] }))
}

async fn authorize(State(inner): Shared, Query(asked): Query<HashMap<String, String>>) -> Response {
    assert_eq!(asked["response_type"], "code");
    assert_eq!(asked["client_id"], CLIENT_ID);
    assert_eq!(asked["code_challenge_method"], "S256");
    assert!(asked["scope"].split(' ').any(|scope| scope == "openid"));
    let code = uuid::Uuid::now_v7().to_string();
    let kept = ["nonce", "code_challenge", "redirect_uri"].map(|name| asked[name].clone());
    let back = format!(
        "{}?code={code}&state={}",
        asked["redirect_uri"], asked["state"]
    );
    inner.codes.lock().unwrap().insert(code, kept);
    (StatusCode::SEE_OTHER, [("location", back)]).into_response()
}

async fn token(State(inner): Shared, headers: HeaderMap, body: String) -> Response {
    let asked: HashMap<String, String> = form_urlencoded::parse(body.as_bytes())
        .into_owned()
        .collect();
    let refuse =
        |error: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": error }))).into_response();
    // RFC 6749, 2.3.1: both parts are form-encoded before they are encoded again.
    let encode = |text: &str| {
        let bytes = text.bytes().map(|b| match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(b).to_string(),
            b' ' => "+".to_owned(),
            b => format!("%{b:02X}"),
        });
        bytes.collect::<String>()
    };
    let expected = STANDARD.encode(format!("{}:{}", encode(CLIENT_ID), encode(CLIENT_SECRET)));
    if headers["authorization"].to_str().unwrap() != format!("Basic {expected}") {
        return refuse("invalid_client");
    }
    let Some([nonce, challenge, redirect]) = inner.codes.lock().unwrap().remove(&asked["code"])
    else {
        return refuse("invalid_grant");
    };
    let verifier = URL_SAFE_NO_PAD.encode(Sha256::digest(&asked["code_verifier"]));
    if verifier != challenge || asked["redirect_uri"] != redirect {
        return refuse("invalid_grant");
    }
    let id_token = id_token(&inner, nonce);
    Json(json!({ "access_token": "unused", "token_type": "Bearer", "id_token": id_token }))
        .into_response()
}

fn id_token(inner: &Inner, nonce: String) -> String {
    let lies = inner.lies.lock().unwrap().clone();
    let person = inner.person.lock().unwrap().clone();
    let url = inner.url.lock().unwrap().clone();
    let now = unity_shared::clock::Clock::system().now().timestamp();
    let now = now + inner.ahead.load(Ordering::Relaxed);
    let claims = json!({
        "iss": lies.issuer.unwrap_or(url),
        "aud": lies.audience.unwrap_or_else(|| CLIENT_ID.to_owned()),
        "sub": person.subject,
        "email": person.email,
        "email_verified": lies.email_verified.unwrap_or(true),
        "nonce": lies.nonce.unwrap_or(nonce),
        "iat": now,
        "exp": if lies.expired { now - 60 } else { now + 300 },
    });
    let algorithm = if lies.unsigned { "none" } else { "EdDSA" };
    let head = json!({ "alg": algorithm, "typ": "JWT" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&head), part(&claims));
    if lies.unsigned {
        return format!("{text}.");
    }
    let own = inner.key.lock().unwrap();
    let key = if lies.other_key { &inner.other } else { &*own };
    let signature = key
        .sign(&CoreJwsSigningAlgorithm::EdDsa, text.as_bytes())
        .unwrap();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}
