//! Tokens that somebody made up, edited, kept too long or brought from elsewhere.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;
use unity_shared::{
    clock::Clock,
    ids::TenantId,
    sessions::Claims,
    tenancy::{ApiKey, Role, insert_api_key},
};

use crate::harness::{LoggedIn, Stack, StackOptions, claims_of, decode, encode};

const ME: &str = "/api/v1/auth/me";

struct Desk {
    stack: Stack,
    clock: Clock,
    session: LoggedIn,
}

impl Desk {
    async fn start() -> Self {
        let clock = Clock::manual(Clock::system().now());
        let stack = Stack::start_with(StackOptions {
            clock: clock.clone(),
            ..StackOptions::still()
        })
        .await;
        for tenant in ["acme", "bravo"] {
            stack.create_tenant(tenant).await;
        }
        let memberships = [("acme", Role::TenantViewer), ("bravo", Role::TenantAdmin)];
        let person = stack.person("holder@example.com", &memberships).await;
        let session = stack.log_in(&person, Some("acme")).await;
        session.caller.get(ME).await.expect(200);
        Self {
            stack,
            clock,
            session,
        }
    }

    fn parts(&self) -> [String; 3] {
        let parts: Vec<String> = self.session.access.split('.').map(str::to_owned).collect();
        parts.try_into().unwrap()
    }

    fn header(&self) -> Value {
        serde_json::from_slice(&decode(&self.parts()[0])).unwrap()
    }

    fn claims(&self) -> Claims {
        serde_json::from_value(claims_of(&self.session.access)).unwrap()
    }

    /// What the installation's own key signs.
    async fn sign(&self, claims: &Claims) -> String {
        self.stack.sign(claims).await
    }

    async fn refuses(&self, what: &str, token: &str) {
        let answer = self.stack.admin.with_key(token).get(ME).await;
        assert_eq!(answer.status, 401, "{what}: {}", answer.text);
        assert_eq!(answer.json["code"], "auth.required", "{what}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_without_our_signature_is_refused() {
    let desk = Desk::start().await;
    let [header, payload, signature] = desk.parts();
    let public = desk
        .stack
        .admin
        .without_key()
        .get("/.well-known/jwks.json")
        .await
        .json;
    let public = decode(public["keys"][0]["x"].as_str().unwrap());
    for alg in ["none", "None", "NONE", "nOnE"] {
        let none =
            encode(json!({ "alg": alg, "typ": "at+jwt", "kid": desk.header()["kid"] }).to_string());
        for signature in ["", signature.as_str()] {
            desk.refuses(alg, &format!("{none}.{payload}.{signature}"))
                .await;
        }
    }
    // Signed as a shared secret with what everybody knows: the public key, in bytes and in base64url.
    for secret in [public.clone(), encode(&public).into_bytes()] {
        for typ in ["at+jwt", "JWT"] {
            let hs = json!({ "alg": "HS256", "typ": typ, "kid": desk.header()["kid"] });
            let text = format!("{}.{payload}", encode(hs.to_string()));
            let mut mac = Hmac::<Sha256>::new_from_slice(&secret).unwrap();
            mac.update(text.as_bytes());
            let signed = encode(mac.finalize().into_bytes());
            desk.refuses("HS256 with the public key", &format!("{text}.{signed}"))
                .await;
        }
    }
    let zeros = encode([0_u8; 64]);
    for (what, token) in [
        ("no signature", format!("{header}.{payload}.")),
        ("two parts", format!("{header}.{payload}")),
        (
            "four parts",
            format!("{header}.{payload}.{signature}.{signature}"),
        ),
        ("zeros", format!("{header}.{payload}.{zeros}")),
        (
            "half a signature",
            format!("{header}.{payload}.{}", &signature[..43]),
        ),
        ("padding", format!("{header}.{payload}.{signature}==")),
        ("nothing signed", "..".to_owned()),
        ("not base64", format!("{header}.!.{signature}")),
        (
            "very long",
            format!("{header}.{}.{signature}", "A".repeat(7000)),
        ),
    ] {
        desk.refuses(what, &token).await;
    }
    desk.session.caller.get(ME).await.expect(200);
    desk.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_claim_that_was_edited_is_refused() {
    let desk = Desk::start().await;
    let [header, _, signature] = desk.parts();
    let claims = claims_of(&desk.session.access);
    for (name, value) in [
        ("iss", json!("unity2")),
        ("aud", json!("other")),
        ("sub", json!(uuid::Uuid::now_v7())),
        ("email", json!("root@example.com")),
        ("exp", json!(claims["exp"].as_i64().unwrap() + 1)),
        ("iat", json!(claims["iat"].as_i64().unwrap() - 1)),
        ("jti", json!(uuid::Uuid::now_v7())),
        ("tenant_id", json!("bravo")),
        ("tenant_id", Value::Null),
        ("role", json!("system-admin")),
        ("sid", json!(uuid::Uuid::now_v7())),
        ("epoch", json!(1)),
        ("surprise", json!(true)),
    ] {
        let mut edited = claims.clone();
        edited[name] = value;
        let token = format!("{header}.{}.{signature}", encode(edited.to_string()));
        desk.refuses(name, &token).await;
    }
    desk.stack.stop().await;
}

/// Even what our own key has signed must be an access token of a session that is there.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "one story, told in its order")]
async fn a_token_of_ours_that_says_what_is_not_so_is_refused() {
    let desk = Desk::start().await;
    let good = desk.claims();
    let signed = desk.sign(&good).await;
    desk.stack.admin.with_key(&signed).get(ME).await.expect(200);
    let now = desk.clock.now().timestamp();
    let bad: Vec<(&str, Claims)> = vec![
        (
            "another issuer",
            Claims {
                iss: "unity-staging".to_owned(),
                ..good.clone()
            },
        ),
        (
            "another audience",
            Claims {
                aud: "unity-worker".to_owned(),
                ..good.clone()
            },
        ),
        (
            "past its end",
            Claims {
                iat: now - 900,
                exp: now,
                ..good.clone()
            },
        ),
        (
            "from the future",
            Claims {
                iat: now + 60,
                exp: now + 120,
                ..good.clone()
            },
        ),
        (
            "too long a life",
            Claims {
                exp: now + 901,
                iat: now,
                ..good.clone()
            },
        ),
        (
            "an end before its beginning",
            Claims {
                iat: now + 4,
                exp: now + 3,
                ..good.clone()
            },
        ),
        (
            "an older epoch",
            Claims {
                epoch: -1,
                ..good.clone()
            },
        ),
        (
            "a session that is not there",
            Claims {
                sid: uuid::Uuid::now_v7().into(),
                ..good.clone()
            },
        ),
        (
            "somebody else",
            Claims {
                sub: uuid::Uuid::now_v7().into(),
                ..good.clone()
            },
        ),
        (
            "another tenant of the same person",
            Claims {
                tenant_id: Some("bravo".parse().unwrap()),
                ..good.clone()
            },
        ),
        (
            "the platform",
            Claims {
                tenant_id: None,
                ..good.clone()
            },
        ),
    ];
    for (what, claims) in bad {
        desk.refuses(what, &desk.sign(&claims).await).await;
    }
    // The role is the row's, whatever the token says.
    let lifted = Claims {
        role: Role::SystemAdmin,
        ..good
    };
    let me = desk
        .stack
        .admin
        .with_key(&desk.sign(&lifted).await)
        .get(ME)
        .await;
    assert_eq!(me.expect(200).json["role"], "tenant-viewer");
    desk.stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_another_installation_is_refused() {
    let (here, there) = (Desk::start().await, Desk::start().await);
    here.refuses("a stranger", &there.session.access).await;
    // Also under the name of a key that is known here.
    let [_, payload, signature] = there.parts();
    let [header, ..] = here.parts();
    here.refuses("a borrowed kid", &format!("{header}.{payload}.{signature}"))
        .await;
    let mut unknown = here.header();
    unknown["kid"] = json!("unknown");
    let [_, payload, signature] = here.parts();
    let token = format!("{}.{payload}.{signature}", encode(unknown.to_string()));
    here.refuses("an unknown kid", &token).await;
    for desk in [here, there] {
        desk.stack.stop().await;
    }
}

async fn key_with_text_of(
    stack: &Stack,
    named: Option<&TenantId>,
    owner: Option<&TenantId>,
) -> String {
    let key = ApiKey::generate(named);
    let role = owner.map_or(Role::SystemAdmin, |_| Role::TenantViewer);
    let mut tx = stack.database.operator().begin().await.unwrap();
    insert_api_key(&mut tx, owner, role, "named", &key, stack.clock.now())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    key.reveal().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_whose_text_names_another_tenant_than_its_row_is_refused() {
    let desk = Desk::start().await;
    let names = ["acme-corp", "acme-cor", "acme-corp-x", "acm"];
    for name in names {
        desk.stack.create_tenant(name).await;
    }
    let ids: Vec<Option<TenantId>> = names
        .iter()
        .map(|name| Some(name.parse().unwrap()))
        .chain([None])
        .collect();
    for named in &ids {
        for owner in &ids {
            let key = key_with_text_of(&desk.stack, named.as_ref(), owner.as_ref()).await;
            if named == owner {
                let me = desk.stack.admin.with_key(&key).get(ME).await.expect(200);
                assert_eq!(me.json["tenant_id"], json!(owner), "{}", me.text);
            } else {
                desk.refuses(&format!("{named:?} of {owner:?}"), &key).await;
            }
        }
    }
    desk.stack.stop().await;
}
