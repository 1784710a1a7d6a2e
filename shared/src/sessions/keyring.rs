//! The signing keys of a moment: makes tokens and reads them.

use std::{collections::BTreeMap, fmt};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Validation, decode, decode_header, encode,
};

use super::{
    crypto,
    sealing::SealingKey,
    signing_key::{KeyState, SigningKey},
    token::{AUDIENCE, CLOCKS_DIFFER, Claims, ISSUER, LONGEST, TOKEN_LIFE, header},
};

/// The keys that count at some moment.
pub struct Keyring {
    /// By `kid`; each is trusted.
    keys: BTreeMap<String, TrustedKey>,
    active: Option<(String, EncodingKey)>,
    validation: Validation,
}

struct TrustedKey {
    verifies: DecodingKey,
    public: PublicKey,
    trusted_until: Option<DateTime<Utc>>,
}

/// A key as it is published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    /// The `kid`.
    pub id: String,
    /// The public key in base64url.
    pub x: String,
}

impl Keyring {
    /// What `rows` come to at `now`. Rows that were not sealed under this installation's secret are
    /// left out.
    #[must_use]
    pub fn new(rows: &[SigningKey], sealing: &SealingKey, now: DateTime<Utc>) -> Self {
        crypto::install();
        let opened: Vec<(&SigningKey, Vec<u8>)> = rows
            .iter()
            .filter(|row| row.state(rows, now) != KeyState::Gone)
            .filter_map(|row| Some((row, row.open(sealing)?)))
            .collect();
        // The newest that signs and that can be opened: another process may have another secret.
        let active = opened
            .iter()
            .filter(|(row, _)| row.signs_from <= now)
            .max_by_key(|(row, _)| (row.signs_from, &row.id));
        let active =
            active.map(|(row, private)| (row.id.clone(), EncodingKey::from_ed_der(private)));
        let keys = opened
            .iter()
            .map(|(row, _)| (row.id.clone(), TrustedKey::of(row)));
        Self {
            keys: keys.collect(),
            active,
            validation: validation(),
        }
    }

    /// Whether there is a key to sign with.
    #[must_use]
    pub const fn signs(&self) -> bool {
        self.active.is_some()
    }

    /// A signed token; absent if no key signs.
    #[must_use]
    pub fn sign(&self, claims: &Claims) -> Option<String> {
        let (id, key) = self.active.as_ref()?;
        encode(&header(id), claims, key).ok()
    }

    /// What a token says, if it is one of ours and good at `now`.
    #[must_use]
    pub fn verify(&self, token: &str, now: DateTime<Utc>) -> Option<Claims> {
        if token.len() > LONGEST {
            return None;
        }
        let stated = decode_header(token).ok()?;
        let id = stated.kid.as_deref()?;
        let key = self.keys.get(id)?;
        if stated != header(id) || key.trusted_until.is_some_and(|until| until <= now) {
            return None;
        }
        let claims = decode::<Claims>(token, &key.verifies, &self.validation)
            .ok()?
            .claims;
        is_current(&claims, now).then_some(claims)
    }

    /// Every key that is trusted or will be, for whoever wants to check tokens too.
    pub fn published(&self) -> impl Iterator<Item = &PublicKey> {
        self.keys.values().map(|key| &key.public)
    }
}

impl TrustedKey {
    fn of(row: &SigningKey) -> Self {
        Self {
            verifies: DecodingKey::from_ed_der(&row.public_key),
            public: PublicKey {
                id: row.id.clone(),
                x: URL_SAFE_NO_PAD.encode(&row.public_key),
            },
            trusted_until: row.trusted_until,
        }
    }
}

/// The times are checked by our own clock, not by the library's.
fn validation() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["iss", "aud", "sub", "exp"]);
    validation.validate_exp = false;
    validation.leeway = 0;
    validation
}

fn is_current(claims: &Claims, now: DateTime<Utc>) -> bool {
    let now = now.timestamp();
    let life = claims.exp.saturating_sub(claims.iat);
    claims.exp > now
        && claims.iat <= now.saturating_add(CLOCKS_DIFFER.num_seconds())
        && (1..=TOKEN_LIFE.num_seconds()).contains(&life)
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring")
            .field("keys", &self.keys.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use jsonwebtoken::Header;
    use serde_json::{Value, json};
    use uuid::Uuid;

    use super::*;
    use crate::{
        config::Secret,
        ids::{SessionId, UserId},
        tenancy::Role,
    };

    const NOW: DateTime<Utc> = DateTime::UNIX_EPOCH;

    struct Desk {
        rows: Vec<SigningKey>,
        sealing: SealingKey,
    }

    impl Desk {
        fn new(secret: &str) -> Self {
            let sealing = SealingKey::new(&Secret::new(secret));
            let rows = vec![SigningKey::generate(&sealing, NOW).unwrap()];
            Self { rows, sealing }
        }

        fn keyring(&self) -> Keyring {
            Keyring::new(&self.rows, &self.sealing, NOW)
        }

        /// A token with this header and these claims, signed by our own key.
        fn sign(&self, header: &Header, claims: &Value) -> String {
            let private = self.rows[0].open(&self.sealing).unwrap();
            encode(header, claims, &EncodingKey::from_ed_der(&private)).unwrap()
        }
    }

    fn claims() -> Claims {
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: UserId::new(),
            email: "a@b".to_owned(),
            iat: 0,
            exp: 900,
            jti: Uuid::now_v7(),
            tenant_id: None,
            role: Role::SystemAdmin,
            sid: SessionId::new(),
            epoch: 0,
        }
    }

    #[test]
    fn a_token_says_what_was_signed_until_it_ends() {
        let (keyring, claims) = (Desk::new("one").keyring(), claims());
        let token = keyring.sign(&claims).unwrap();
        assert_eq!(keyring.verify(&token, NOW), Some(claims.clone()));
        let later = NOW + TimeDelta::seconds(899);
        assert_eq!(keyring.verify(&token, later), Some(claims));
        assert_eq!(keyring.verify(&token, NOW + TOKEN_LIFE), None);
        let before = NOW - TimeDelta::seconds(6);
        assert_eq!(keyring.verify(&token, before), None, "from the future");
    }

    #[test]
    fn a_header_with_anything_but_type_algorithm_and_key_is_refused() {
        let desk = Desk::new("one");
        let (keyring, good) = (desk.keyring(), header(&desk.rows[0].id));
        let claims = json!(claims());
        assert!(keyring.verify(&desk.sign(&good, &claims), NOW).is_some());
        for (name, value) in [
            ("typ", json!("JWT")),
            ("typ", json!("AT+JWT")),
            ("typ", Value::Null),
            ("kid", json!("unknown")),
            ("kid", Value::Null),
            ("cty", json!("JWT")),
            ("crit", json!(["exp"])),
            ("crit", json!([])),
            ("jku", json!("https://elsewhere.example/jwks.json")),
            ("x5u", json!("https://elsewhere.example/cert")),
            ("x5c", json!(["AAAA"])),
            ("x5t", json!("AAAA")),
            ("x5t#S256", json!("AAAA")),
            ("zip", json!("DEF")),
            ("enc", json!("A256GCM")),
            ("b64", json!(false)),
            (
                "jwk",
                json!({ "kty": "OKP", "crv": "Ed25519", "x": desk.keyring().published().next().unwrap().x }),
            ),
        ] {
            let mut stated = json!(good);
            stated[name] = value.clone();
            let stated: Header = serde_json::from_value(stated).unwrap();
            let token = desk.sign(&stated, &claims);
            assert_eq!(keyring.verify(&token, NOW), None, "{name}: {value}");
        }
    }

    #[test]
    fn claims_that_are_missing_or_of_another_kind_are_refused() {
        let desk = Desk::new("one");
        let (keyring, header) = (desk.keyring(), header(&desk.rows[0].id));
        let good = json!(claims());
        for name in [
            "iss", "aud", "sub", "email", "exp", "iat", "jti", "role", "sid", "epoch",
        ] {
            let mut missing = good.clone();
            missing.as_object_mut().unwrap().remove(name);
            assert_eq!(
                keyring.verify(&desk.sign(&header, &missing), NOW),
                None,
                "{name}"
            );
            for value in [Value::Null, json!([]), json!("x"), json!(1.5)] {
                let mut other = good.clone();
                other[name] = value.clone();
                let fits = name == "email" && value == "x";
                let verified = keyring.verify(&desk.sign(&header, &other), NOW);
                assert_eq!(verified.is_some(), fits, "{name}: {value}");
            }
        }
        let mut audiences = good.clone();
        audiences["aud"] = json!([AUDIENCE, "other"]);
        assert_eq!(keyring.verify(&desk.sign(&header, &audiences), NOW), None);
    }

    #[test]
    fn keys_of_another_installation_count_for_nothing() {
        let (one, other) = (Desk::new("one"), Desk::new("other"));
        let token = other.keyring().sign(&claims()).unwrap();
        assert_eq!(one.keyring().verify(&token, NOW), None);
        let mixed = Keyring::new(&other.rows, &one.sealing, NOW);
        assert!(!mixed.signs());
        assert_eq!(mixed.verify(&token, NOW), None);
        assert_eq!(mixed.published().count(), 0);
    }

    #[test]
    fn a_key_that_is_trusted_no_more_verifies_nothing() {
        let mut desk = Desk::new("one");
        let token = desk.keyring().sign(&claims()).unwrap();
        desk.rows[0].trusted_until = Some(NOW + TimeDelta::seconds(10));
        let keyring = desk.keyring();
        let before = NOW + TimeDelta::seconds(9);
        assert!(keyring.verify(&token, before).is_some());
        assert!(
            keyring
                .verify(&token, NOW + TimeDelta::seconds(10))
                .is_none()
        );
    }
}
