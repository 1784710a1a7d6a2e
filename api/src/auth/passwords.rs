//! Passwords, hashed and compared few at a time.
//!
//! Argon2id (19 MiB, two passes) is meant to be slow. It runs off the threads that serve requests, on
//! half of the machine's cores at once; so many may wait for their turn, and more are told to come again.
//! A flood of logins makes logins slow, and nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;
use unity_shared::tenancy::{generate_password, hash_password, verify_password};

use crate::error::ApiError;

/// Passwords that wait for their turn at most: some seconds' worth.
const MOST_WAITING: usize = 64;
/// Hashes and compares passwords.
#[derive(Debug)]
pub struct Passwords {
    /// The hash of a password that nobody knows. An address that nobody has takes as long to refuse as a
    /// wrong password.
    nobodys: String,
    turns: Semaphore,
    waiting: AtomicUsize,
}

impl Default for Passwords {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            // Only a broken parameter set can fail, and then no password can be compared at all.
            nobodys: hash_password(&generate_password()).unwrap_or_default(),
            turns: Semaphore::new((cores / 2).max(1)),
            waiting: AtomicUsize::new(0),
        }
    }
}

impl Passwords {
    /// Whether a password is the one that was hashed. Without a hash it is not, and takes as long.
    pub async fn verify(&self, password: String, hash: Option<String>) -> Result<bool, ApiError> {
        let exists = hash.is_some();
        let hash = hash.unwrap_or_else(|| self.nobodys.clone());
        let right = self.run(move || verify_password(&password, &hash)).await?;
        Ok(right && exists)
    }

    /// The hash of a new password.
    pub async fn hash(&self, password: String) -> Result<String, ApiError> {
        self.run(move || hash_password(&password))
            .await?
            .map_err(ApiError::Password)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ApiError> {
        let place = Waiting::enter(&self.waiting).ok_or(ApiError::Overloaded)?;
        let broke_off = |error: &dyn std::error::Error| {
            ApiError::Defect(format!("a password could not be worked on: {error}"))
        };
        let turn = self.turns.acquire().await;
        let _turn = turn.map_err(|error| broke_off(&error))?;
        drop(place);
        tokio::task::spawn_blocking(work)
            .await
            .map_err(|error| broke_off(&error))
    }
}

/// A place in the queue, given back also by whoever hangs up while waiting.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn enter(waiting: &'a AtomicUsize) -> Option<Self> {
        let place = Self(waiting);
        let before = waiting.fetch_add(1, Ordering::Relaxed);
        (before < MOST_WAITING).then_some(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_hash_costs_what_all_others_cost() {
        let cost = |hash: &str| hash.split('$').take(4).collect::<Vec<_>>().join("$");
        let nobodys = Passwords::default().nobodys;
        assert_eq!(cost(&nobodys), cost(&hash_password("x").unwrap()));
        assert!(
            nobodys.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{nobodys}"
        );
    }

    #[tokio::test]
    async fn a_password_is_right_only_where_there_is_one() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse".to_owned()).await.unwrap();
        let verify = async |password: &str, hash: Option<&str>| {
            let hash = hash.map(str::to_owned);
            passwords.verify(password.to_owned(), hash).await.unwrap()
        };
        assert!(verify("correct horse", Some(&hash)).await);
        assert!(!verify("wrong", Some(&hash)).await);
        assert!(!verify("correct horse", None).await);
    }

    #[tokio::test]
    async fn more_than_so_many_are_told_to_come_again() {
        let passwords = Passwords::default();
        let places: Vec<_> = (0..MOST_WAITING)
            .map(|_| Waiting::enter(&passwords.waiting).unwrap())
            .collect();
        let refused = passwords.hash("x".to_owned()).await;
        assert!(matches!(refused, Err(ApiError::Overloaded)));
        drop(places);
        assert!(passwords.hash("x".to_owned()).await.is_ok());
    }
}
