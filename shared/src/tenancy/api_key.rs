//! API keys: their text, and how they are kept.
//!
//! A key is `uk_{tenant with - as _}_{30 base62}{6 base62 checksum}`. It is read from the right: the
//! tenant text may hold underscores and is a hint for people, the stored row decides. The checksum
//! (CRC-32, as secret scanners know it from other vendors) lets a mistyped or invented key be refused
//! without asking the database. About 178 random bits make a slow hash unnecessary: SHA-256 is stored.

use std::fmt;

use rand::RngExt;
use sha2::{Digest, Sha256};

use crate::ids::TenantId;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
pub(super) const RANDOM_LENGTH: usize = 30;
pub(super) const CHECKSUM_LENGTH: usize = 6;
/// The hint in a system administrator's key; no tenant can have this slug.
const PLATFORM_HINT: &str = "platform";

/// A whole API key. It has no `Display`: whoever shows it must say so with [`ApiKey::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKey(String);

/// The text is not an API key: wrong prefix, length, alphabet or checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an API key")]
pub struct InvalidApiKey;

impl ApiKey {
    /// A fresh key of a tenant, or of the platform.
    #[must_use]
    pub fn generate(tenant: Option<&TenantId>) -> Self {
        Self(fresh_text("uk_", tenant))
    }

    /// Reads a key and checks its checksum.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKey> {
        if !text.is_ascii() || text.len() > 128 {
            return Err(InvalidApiKey);
        }
        let (head, secret) = text.rsplit_once('_').ok_or(InvalidApiKey)?;
        let hint = head.strip_prefix("uk_").ok_or(InvalidApiKey)?;
        let hint_ok = !hint.is_empty()
            && hint
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let secret_ok = secret.len() == RANDOM_LENGTH + CHECKSUM_LENGTH
            && secret.bytes().all(|b| b.is_ascii_alphanumeric());
        if !hint_ok || !secret_ok {
            return Err(InvalidApiKey);
        }
        if has_checksum(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidApiKey)
        }
    }

    /// Whether the tenant that the text names is the one that the stored row has. The row decides; a
    /// text that says something else was put together by somebody.
    #[must_use]
    pub fn names(&self, tenant: Option<&TenantId>) -> bool {
        let head = self.0.rsplit_once('_').map(|(head, _)| head);
        let hint = head.and_then(|head| head.strip_prefix("uk_"));
        hint.is_some_and(|hint| hint.chars().eq(hint_of(tenant)))
    }

    /// The key in clear text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }

    /// What a listing may show: everything before the secret, and its first four characters.
    #[must_use]
    pub fn display_prefix(&self) -> String {
        let secret_length = RANDOM_LENGTH + CHECKSUM_LENGTH;
        self.0
            .chars()
            .take(self.0.len() - secret_length + 4)
            .collect()
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiKey({}...)", self.display_prefix())
    }
}

/// The text of a fresh credential: `{prefix}{hint}_`, random characters and their checksum.
pub(super) fn fresh_text(prefix: &str, tenant: Option<&TenantId>) -> String {
    let hint: String = hint_of(tenant).collect();
    let random = random_base62(RANDOM_LENGTH);
    let body = format!("{prefix}{hint}_{random}");
    let checksum = checksum(&body);
    format!("{body}{checksum}")
}

/// Whether a text ends with the checksum of what is in front of it.
pub(super) fn has_checksum(text: &str) -> bool {
    let middle = text.len().checked_sub(CHECKSUM_LENGTH);
    let parts = middle.and_then(|middle| text.split_at_checked(middle));
    parts.is_some_and(|(body, stated)| checksum(body) == stated)
}

fn hint_of(tenant: Option<&TenantId>) -> impl Iterator<Item = char> {
    let name = tenant.map_or(PLATFORM_HINT, TenantId::as_str);
    name.chars()
        .map(|letter| if letter == '-' { '_' } else { letter })
}

/// `length` characters, each of 62 with the same chance, from the system's random source.
#[must_use]
pub fn random_base62(length: usize) -> String {
    let mut rng = rand::rng();
    (0..length)
        .map(|_| base62_digit(rng.random_range(0..62)))
        .collect()
}

fn checksum(body: &str) -> String {
    let mut rest = crc32fast::hash(body.as_bytes());
    let mut digits = Vec::with_capacity(CHECKSUM_LENGTH);
    for _ in 0..CHECKSUM_LENGTH {
        digits.push(base62_digit(rest % 62));
        rest /= 62;
    }
    digits.iter().rev().collect()
}

fn base62_digit(value: u32) -> char {
    let index = usize::try_from(value % 62).unwrap_or_default();
    ALPHABET.get(index).copied().map_or('0', char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_key_is_read_back_and_names_its_tenant() {
        let tenant = TenantId::parse("acme-corp").unwrap();
        let key = ApiKey::generate(Some(&tenant));
        assert!(key.reveal().starts_with("uk_acme_corp_"));
        assert_eq!(ApiKey::parse(key.reveal()), Ok(key));
    }

    #[test]
    fn a_key_names_one_tenant_and_none_of_a_similar_name() {
        let tenant = |id: &str| TenantId::parse(id).unwrap();
        let key = ApiKey::generate(Some(&tenant("acme-corp")));
        assert!(key.names(Some(&tenant("acme-corp"))));
        for other in ["acme", "corp", "acme-cor", "acme-corp-a", "acmecorp"] {
            assert!(!key.names(Some(&tenant(other))), "{other}");
        }
        assert!(!key.names(None) && ApiKey::generate(None).names(None));
    }

    #[test]
    fn a_changed_key_is_refused_by_its_checksum() {
        let key = ApiKey::generate(None).reveal().to_owned();
        for position in 3..key.len() {
            let mut bytes = key.clone().into_bytes();
            bytes[position] = if bytes[position] == b'a' { b'b' } else { b'a' };
            let changed = String::from_utf8(bytes).unwrap();
            assert_eq!(ApiKey::parse(&changed), Err(InvalidApiKey), "{changed}");
        }
    }

    #[test]
    fn texts_that_are_no_keys_are_refused() {
        for text in [
            "",
            "uk_",
            "uk__",
            "Bearer x",
            "uk_acme_short",
            "uk_acme_é",
            &"u".repeat(500),
        ] {
            assert_eq!(ApiKey::parse(text), Err(InvalidApiKey), "{text}");
        }
    }

    #[test]
    fn debug_output_does_not_hold_the_secret() {
        let key = ApiKey::generate(None);
        let secret = key.reveal().rsplit('_').next().unwrap().to_owned();
        assert!(!format!("{key:?}").contains(&secret));
    }
}
