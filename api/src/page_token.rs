//! Page tokens: where the next page begins, in a form that only we can write.
//!
//! A token is `base64url(last || HMAC-SHA256)`. The code covers the listing's scope as well: the
//! route, the tenant and the filter. So a token cannot be carried to another tenant, another filter
//! or another listing, and nobody can make one up to look behind a filter.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use unity_shared::config::Secret;

use crate::error::ApiError;

const CODE_LENGTH: usize = 32;
/// Keeps this use of the secret apart from any other.
const PURPOSE: &[u8] = b"unity page token v1";

/// Issues and opens page tokens. Every API process with the same secret takes the others' tokens.
#[derive(Clone)]
pub struct PageTokens {
    mac: Hmac<Sha256>,
}

/// What a token is good for.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The listing.
    pub listing: &'a str,
    /// Whose listing it is; `platform` for a system administrator's.
    pub owner: &'a str,
    /// The filter in a canonical form.
    pub filter: &'a str,
}

impl PageTokens {
    /// Tokens under a key that is derived from `secret`.
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

    /// A token for the page after `last`.
    pub fn issue(&self, scope: &Scope<'_>, last: &str) -> String {
        let code = self.code(scope, last).finalize().into_bytes();
        let mut bytes = last.as_bytes().to_vec();
        bytes.extend_from_slice(&code);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What the token says, if it was issued for this scope.
    pub fn open(&self, scope: &Scope<'_>, token: &str) -> Result<String, ApiError> {
        let bytes = URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|_| ApiError::PageToken)?;
        let (last, code) = bytes
            .len()
            .checked_sub(CODE_LENGTH)
            .and_then(|middle| bytes.split_at_checked(middle))
            .ok_or(ApiError::PageToken)?;
        let last = std::str::from_utf8(last).map_err(|_| ApiError::PageToken)?;
        self.code(scope, last)
            .verify_slice(code)
            .map_err(|_| ApiError::PageToken)?;
        Ok(last.to_owned())
    }

    /// Each part goes in behind its length, so that no two scopes read the same.
    fn code(&self, scope: &Scope<'_>, last: &str) -> Hmac<Sha256> {
        let Scope {
            listing,
            owner,
            filter,
        } = scope;
        let mut mac = self.mac.clone();
        for part in [listing, owner, filter, last] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCOPE: Scope<'_> = Scope {
        listing: "jobs",
        owner: "acme",
        filter: "status=queued",
    };

    fn tokens() -> PageTokens {
        PageTokens::new(&Secret::new("0123456789abcdef0123456789abcdef"))
    }

    #[test]
    fn a_token_is_opened_by_whoever_has_the_same_secret() {
        let token = tokens().issue(&SCOPE, "last-job");
        assert_eq!(tokens().open(&SCOPE, &token).unwrap(), "last-job");
    }

    #[test]
    fn a_token_is_refused_for_another_tenant_filter_listing_or_secret() {
        let token = tokens().issue(&SCOPE, "last-job");
        let others = [
            Scope {
                owner: "acm",
                ..SCOPE
            },
            Scope {
                filter: "",
                ..SCOPE
            },
            Scope {
                listing: "tenants",
                ..SCOPE
            },
            Scope {
                owner: "acmestatus=queued",
                filter: "",
                ..SCOPE
            },
        ];
        for other in others {
            assert!(
                matches!(tokens().open(&other, &token), Err(ApiError::PageToken)),
                "{other:?}"
            );
        }
        let stranger = PageTokens::new(&Secret::new("another secret of enough length.."));
        assert!(stranger.open(&SCOPE, &token).is_err());
    }

    #[test]
    fn garbage_and_changed_tokens_are_refused() {
        let token = tokens().issue(&SCOPE, "last-job");
        for bad in [
            "",
            "x",
            "!!!",
            &token[1..],
            &format!("{token}AA"),
            &"A".repeat(43),
            &"A".repeat(9999),
        ] {
            assert!(tokens().open(&SCOPE, bad).is_err(), "{bad}");
        }
    }
}
