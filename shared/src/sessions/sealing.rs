//! Secrets at rest: encrypted under the installation's secret key.
//!
//! ChaCha20-Poly1305 with a random nonce before the ciphertext. What a ciphertext belongs to goes in as
//! associated data, so that one row's cannot be moved to another.

use ring::{
    aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    rand::{SecureRandom, SystemRandom},
};
use sha2::{Digest, Sha256};

use crate::config::Secret;

/// Keeps this use of the secret apart from any other.
const PURPOSE: &str = "unity signing keys v1";

/// Encrypts and decrypts private keys of one installation.
#[derive(Clone)]
pub struct SealingKey([u8; 32]);

/// The random source or the cipher refused, which neither does on a machine that works.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("could not encrypt the key")]
pub struct SealError;

impl SealingKey {
    /// The key for the keys that sign tokens, derived from the installation's secret key.
    #[must_use]
    pub fn new(secret: &Secret) -> Self {
        Self::of(secret, PURPOSE)
    }

    /// The key for another purpose: what is sealed for one cannot be opened for another.
    #[must_use]
    pub fn of(secret: &Secret, purpose: &str) -> Self {
        let derived = Sha256::new()
            .chain_update(purpose)
            .chain_update(secret.reveal())
            .finalize();
        Self(derived.into())
    }

    fn cipher(&self) -> Result<LessSafeKey, SealError> {
        UnboundKey::new(&CHACHA20_POLY1305, &self.0)
            .map(LessSafeKey::new)
            .map_err(|_| SealError)
    }

    /// Encrypts `clear`, bound to `belongs_to`.
    pub fn seal(&self, clear: &[u8], belongs_to: &[u8]) -> Result<Vec<u8>, SealError> {
        let mut nonce = [0_u8; NONCE_LEN];
        SystemRandom::new()
            .fill(&mut nonce)
            .map_err(|_| SealError)?;
        let mut text = clear.to_vec();
        self.cipher()?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(belongs_to),
                &mut text,
            )
            .map_err(|_| SealError)?;
        let mut sealed = nonce.to_vec();
        sealed.append(&mut text);
        Ok(sealed)
    }

    /// What was sealed; absent if it was with another key, for something else, or is damaged.
    #[must_use]
    pub fn open(&self, sealed: &[u8], belongs_to: &[u8]) -> Option<Vec<u8>> {
        let (nonce, text) = sealed.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut text = text.to_vec();
        let clear = self
            .cipher()
            .ok()?
            .open_in_place(nonce, Aad::from(belongs_to), &mut text)
            .ok()?;
        Some(clear.to_vec())
    }
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SealingKey")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(secret: &str) -> SealingKey {
        SealingKey::new(&Secret::new(secret))
    }

    #[test]
    fn a_sealed_key_opens_for_its_own_secret_and_row_alone() {
        let sealed = key("one").seal(b"private", b"row 1").unwrap();
        assert_eq!(key("one").open(&sealed, b"row 1").unwrap(), b"private");
        assert_eq!(key("two").open(&sealed, b"row 1"), None);
        assert_eq!(key("one").open(&sealed, b"row 2"), None);
        for place in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[place] ^= 1;
            assert_eq!(key("one").open(&damaged, b"row 1"), None, "{place}");
        }
        assert_eq!(key("one").open(b"short", b"row 1"), None);
    }

    #[test]
    fn the_same_key_never_looks_the_same() {
        let key = key("one");
        assert_ne!(key.seal(b"x", b"").unwrap(), key.seal(b"x", b"").unwrap());
    }
}
