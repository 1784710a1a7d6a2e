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
