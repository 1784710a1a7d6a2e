//! Passwords: made at random, kept as Argon2id hashes.

use argon2::{Argon2, PasswordHasher};

use super::api_key::random_base62;

/// A password could not be hashed; only a broken parameter set can cause it.
#[derive(Debug, thiserror::Error)]
#[error("could not hash the password: {0}")]
pub struct PasswordError(String);

/// A random password of 20 characters, about 119 bits.
#[must_use]
pub fn generate_password() -> String {
    random_base62(20)
}

/// The Argon2id hash (RFC 9106) in PHC string format, with a salt of its own and the crate's default
/// cost (19 MiB, two passes). Takes tens of milliseconds of CPU: call it off the async threads.
pub fn hash_password(password: &str) -> Result<String, PasswordError> {
    Argon2::default()
        .hash_password(password.as_bytes())
        .map(|hash| hash.to_string())
        .map_err(|error| PasswordError(error.to_string()))
}

#[cfg(test)]
mod tests {
    use argon2::{PasswordHash, PasswordVerifier};

    use super::*;

    #[test]
    fn a_hash_verifies_its_password_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        let parsed = PasswordHash::new(&hash).unwrap();
        assert!(
            Argon2::default()
                .verify_password(b"correct horse", &parsed)
                .is_ok()
        );
        assert!(
            Argon2::default()
                .verify_password(b"correct hors", &parsed)
                .is_err()
        );
    }
}
