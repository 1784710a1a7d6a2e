//! Tokens that are sent by mail: whoever has one reads the mail of that address.
//!
//! A token is an HMAC over what it is for, so nothing that could be used is stored anywhere: the row
//! keeps the token's hash, and the job that sends the mail makes the token again from the row's id.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{
    config::Secret,
    ids::{InvitationId, TenantId},
};

/// Keeps this use of the secret apart from any other.
const PURPOSE: &[u8] = b"unity mail token v1";
/// Tells people, and scanners for secrets, what they see.
const PREFIX: &str = "um_";
/// 256 bits in base64url.
const SECRET_LENGTH: usize = 43;

/// Makes tokens. Every process with the same secret makes the same ones.
#[derive(Clone)]
pub struct MailTokens {
    mac: Hmac<Sha256>,
}

/// One token. It has no `Display`: whoever shows it must say so with [`MailToken::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct MailToken(String);

impl MailTokens {
    /// Tokens under a key that is derived from `secret`.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        let mut block = [0_u8; 64];
        let derived = Sha256::new()
            .chain_update(PURPOSE)
            .chain_update(secret.reveal())
            .finalize();
        for (place, byte) in block.iter_mut().zip(derived) {
            *place = byte;
        }
        Self {
            mac: Hmac::new(&block.into()),
        }
    }

    /// The token of an invitation's issue.
    #[must_use]
    pub fn of_invitation(&self, tenant: &TenantId, id: InvitationId, issue: i32) -> MailToken {
        self.make(&[
            "invitation",
            tenant.as_str(),
            &id.to_string(),
            &issue.to_string(),
        ])
    }

    /// Each part goes in behind its length, so that no two purposes read the same.
    fn make(&self, parts: &[&str]) -> MailToken {
        let mut mac = self.mac.clone();
        for part in parts {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let code = mac.finalize().into_bytes();
        MailToken(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(code)))
    }
}

impl fmt::Debug for MailTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MailTokens").finish_non_exhaustive()
    }
}

impl MailToken {
    /// Reads a token; absent = it has not the form of one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let secret = text.strip_prefix(PREFIX)?;
        let known = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (secret.len() == SECRET_LENGTH && secret.bytes().all(known)).then(|| Self(text.to_owned()))
    }

    /// The token in clear text, for the mail.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up. 256 random bits need no slow hash.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for MailToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MailToken(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_follows_from_its_invitation_and_from_nothing_less() {
        let tokens = MailTokens::new(&Secret::new("0123456789abcdef0123456789abcdef"));
        let (acme, other) = (
            TenantId::parse("acme").unwrap(),
            TenantId::parse("other").unwrap(),
        );
        let id = InvitationId::new();
        let token = tokens.of_invitation(&acme, id, 1);
        assert_eq!(token, tokens.of_invitation(&acme, id, 1));
        assert_eq!(MailToken::parse(token.reveal()), Some(token.clone()));
        let elsewhere = MailTokens::new(&Secret::new("another secret of 32 characters.."));
        for different in [
            tokens.of_invitation(&acme, id, 2),
            tokens.of_invitation(&other, id, 1),
            tokens.of_invitation(&acme, InvitationId::new(), 1),
            elsewhere.of_invitation(&acme, id, 1),
        ] {
            assert_ne!(token, different);
            assert_ne!(token.hash(), different.hash());
        }
    }

    #[test]
    fn what_has_not_the_form_of_a_token_is_none() {
        let long = format!("um_{}", "a".repeat(44));
        let odd = format!("um_{}", "a".repeat(42) + "=");
        for bad in ["", "um_", &long, &odd, "uk_acme_x"] {
            assert_eq!(MailToken::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let tokens = MailTokens::new(&Secret::new("0123456789abcdef0123456789abcdef"));
        let token = tokens.of_invitation(&TenantId::parse("acme").unwrap(), InvitationId::new(), 1);
        assert!(!format!("{token:?} {tokens:?}").contains(token.reveal()));
    }
}
