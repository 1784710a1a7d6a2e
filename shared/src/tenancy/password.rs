//! Passwords: made at random, kept as Argon2id hashes.

use argon2::{Argon2, PasswordHash, PasswordHasher, PasswordVerifier};

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

/// Whether `password` is the one that was hashed. Takes as long as hashing; call it off the async threads.
#[must_use]
pub fn verify_password(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

/// Whether a person may choose this password: 12 to 256 characters, and not their own address. Length
/// is what makes a password hard to guess; rules about its characters make it easy to forget.
#[must_use]
pub fn is_good_password(password: &str, email: &str) -> bool {
    let lower = password.to_lowercase();
    (12..=256).contains(&password.chars().count()) && !lower.contains(&email.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_verifies_its_password_and_no_other() {
        let hash = hash_password("correct horse").unwrap();
        assert!(hash.starts_with("$argon2id$"));
        assert!(verify_password("correct horse", &hash));
        assert!(!verify_password("correct hors", &hash));
        assert!(!verify_password("correct horse", "no hash"));
    }

    #[test]
    fn a_password_is_long_and_not_the_address() {
        assert!(is_good_password("twelve chars", "a@b"));
        for bad in ["eleven char", "", "Someone@Example.com", &"x".repeat(257)] {
            assert!(!is_good_password(bad, "someone@example.com"), "{bad}");
        }
    }
}
