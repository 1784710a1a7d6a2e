//! What binds a provider's answer to our question and to the browser that asked.
//!
//! The state has the tenant's slug and 256 random bits. Nonce and PKCE verifier follow from it under
//! the installation's secret, so nobody who has the state, or reads the database, can make them. So does
//! the cookie of the browser that asked, which says until when the answer may come. Nothing of it is
//! stored: however many begin, nobody's beginning is lost.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use unity_shared::{config::Secret, ids::TenantId, people::SIGN_IN_LASTS, tenancy::random_base62};

use crate::error::ApiError;

/// Keeps this use of the secret apart from any other.
const PURPOSE: &[u8] = b"unity sign-in v1";
/// 256 bits and some, in base62.
const RANDOM_LENGTH: usize = 43;

/// Makes nonces and verifiers. Every API process with the same secret makes the same ones.
#[derive(Clone)]
pub struct SignIns {
    mac: Hmac<Sha256>,
    cookie: &'static str,
    attributes: &'static str,
}

/// A state that was made here, or has the form of one.
pub struct SignInState {
    text: String,
    /// The tenant that it names.
    pub tenant: TenantId,
}

impl SignIns {
    /// Under a key that is derived from `secret`. Where the API is reached over TLS the cookie is one
    /// that no other host can set.
    pub fn new(secret: &Secret, is_tls: bool) -> Self {
        let mut block = [0_u8; 64];
        let derived = Sha256::new()
            .chain_update(PURPOSE)
            .chain_update(secret.reveal())
            .finalize();
        for (place, byte) in block.iter_mut().zip(derived) {
            *place = byte;
        }
        let (cookie, attributes) = if is_tls {
            (
                "__Host-unity-sign-in",
                "; Secure; HttpOnly; SameSite=Lax; Path=/",
            )
        } else {
            ("unity-sign-in", "; HttpOnly; SameSite=Lax; Path=/")
        };
        Self {
            mac: Hmac::new(&block.into()),
            cookie,
            attributes,
        }
    }

    /// What the provider has to repeat in its token.
    pub fn nonce(&self, state: &SignInState) -> String {
        self.derive("nonce", state)
    }

    /// What proves to the provider that who asks for the token is who began.
    pub fn verifier(&self, state: &SignInState) -> String {
        self.derive("verifier", state)
    }

    fn derive(&self, what: &str, state: &SignInState) -> String {
        URL_SAFE_NO_PAD.encode(self.mac_of(&[what, &state.text]).finalize().into_bytes())
    }

    /// None of the parts can have a line break.
    fn mac_of(&self, parts: &[&str]) -> Hmac<Sha256> {
        let mut mac = self.mac.clone();
        mac.update(parts.join("\n").as_bytes());
        mac
    }

    /// A header that gives the browser its cookie.
    pub fn set_cookie(
        &self,
        state: &SignInState,
        now: DateTime<Utc>,
    ) -> Result<HeaderValue, ApiError> {
        let (name, attributes) = (self.cookie, self.attributes);
        let seconds = SIGN_IN_LASTS.num_seconds();
        let ends = (now + SIGN_IN_LASTS).timestamp().to_string();
        let mac = self.mac_of(&["browser", &state.text, &ends]).finalize();
        let mac = URL_SAFE_NO_PAD.encode(mac.into_bytes());
        header_value(format!(
            "{name}={ends}.{mac}; Max-Age={seconds}{attributes}"
        ))
    }

    /// A header that takes the cookie away.
    pub fn clear_cookie(&self) -> Result<HeaderValue, ApiError> {
        let (name, attributes) = (self.cookie, self.attributes);
        header_value(format!("{name}=; Max-Age=0{attributes}"))
    }

    /// What the browser shows of having begun with this very state; absent = it did not, or it has several
    /// cookies of ours, or too much time has passed.
    pub fn begun_by(
        &self,
        headers: &HeaderMap,
        state: &SignInState,
        now: DateTime<Utc>,
    ) -> Option<Beginning> {
        let cookie = self.cookie_in(headers)?;
        let (ends, mac) = cookie.split_once('.')?;
        let mac = URL_SAFE_NO_PAD.decode(mac).ok()?;
        self.mac_of(&["browser", &state.text, ends])
            .verify_slice(&mac)
            .ok()?;
        let ends = DateTime::from_timestamp(ends.parse().ok()?, 0)?;
        (ends > now).then(|| Beginning {
            ends,
            browser_hash: hash_of(cookie),
        })
    }

    /// The browser's one cookie of ours.
    fn cookie_in<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        let prefix = format!("{}=", self.cookie);
        let values = headers.get_all(header::COOKIE).iter();
        let mut found = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(prefix.as_str()));
        let cookie = found.next()?;
        found.next().is_none().then_some(cookie)
    }
}

/// What a browser shows of having begun.
pub struct Beginning {
    /// When it is too late.
    pub ends: DateTime<Utc>,
    /// What is stored of the cookie.
    pub browser_hash: Vec<u8>,
}

fn header_value(text: String) -> Result<HeaderValue, ApiError> {
    HeaderValue::try_from(text).map_err(|error| ApiError::Defect(error.to_string()))
}

impl SignInState {
    /// A fresh one for this tenant.
    pub fn new(tenant: &TenantId) -> Self {
        Self {
            text: format!("{tenant}.{}", random_base62(RANDOM_LENGTH)),
            tenant: tenant.clone(),
        }
    }

    /// Reads what a browser has brought back; absent = it has not the form of a state.
    pub fn parse(text: &str) -> Option<Self> {
        let (tenant, random) = text.split_once('.')?;
        let tenant = TenantId::parse(tenant).ok()?;
        is_random(random).then(|| Self {
            text: text.to_owned(),
            tenant,
        })
    }

    /// As it goes through the browser.
    pub fn reveal(&self) -> &str {
        &self.text
    }

    /// What is stored of it.
    pub fn hash(&self) -> Vec<u8> {
        hash_of(&self.text)
    }
}

/// What is stored of a text that nobody can guess.
fn hash_of(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

fn is_random(text: &str) -> bool {
    text.len() == RANDOM_LENGTH && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign_ins(is_tls: bool) -> SignIns {
        SignIns::new(&Secret::new("0123456789abcdef0123456789abcdef"), is_tls)
    }

    #[test]
    fn a_state_names_its_tenant_and_all_else_follows_from_it() {
        let tenant = TenantId::parse("acme-corp").unwrap();
        let state = SignInState::new(&tenant);
        let again = SignInState::parse(state.reveal()).unwrap();
        assert_eq!(again.tenant, tenant);
        let made = sign_ins(true);
        assert_eq!(made.nonce(&state), made.nonce(&again));
        assert_ne!(made.nonce(&state), made.verifier(&state));
        assert_eq!(made.verifier(&state).len(), 43);
        assert_ne!(made.nonce(&state), made.nonce(&SignInState::new(&tenant)));
        for bad in [
            "",
            ".",
            "acme",
            "Acme.x",
            &format!("acme.{}", "a".repeat(44)),
            "platform.x",
        ] {
            assert!(SignInState::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_cookie_is_good_for_its_state_alone_for_ten_minutes_and_bound_to_its_host_under_tls() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let tenant = TenantId::parse("acme").unwrap();
        let state = SignInState::new(&tenant);
        for (is_tls, name) in [(true, "__Host-unity-sign-in"), (false, "unity-sign-in")] {
            let made = sign_ins(is_tls);
            let set = made.set_cookie(&state, now).unwrap();
            let set = set.to_str().unwrap();
            assert!(set.starts_with(&format!("{name}=")));
            assert!(set.contains("HttpOnly") && set.contains("SameSite=Lax"));
            assert_eq!(set.contains("Secure"), is_tls);
            let own = set.split(';').next().unwrap();
            let read = |cookie: &str, state: &SignInState, now| {
                let mut headers = HeaderMap::new();
                headers.insert(header::COOKIE, cookie.parse().unwrap());
                made.begun_by(&headers, state, now).map(|begun| begun.ends)
            };
            let ends = now + SIGN_IN_LASTS;
            assert_eq!(read(&format!("a=b; {own}"), &state, now), Some(ends));
            assert_eq!(read(own, &state, ends), None);
            assert_eq!(read(own, &SignInState::new(&tenant), now), None);
            assert_eq!(read(&format!("{own}; {own}"), &state, now), None);
            let later = own.replace("=18000006", "=18000009");
            assert_ne!(later, own);
            for bad in ["a=b", &later, &format!("{own}A"), &format!("{name}=short")] {
                assert_eq!(read(bad, &state, now), None, "{bad}");
            }
        }
    }
}
