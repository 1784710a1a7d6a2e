//! Attempts to log in, counted so that passwords cannot be guessed.
//!
//! An attempt is counted before the password is looked at and forgotten when it was right: a thousand
//! guesses at once are a thousand. Whether an account exists makes no difference to what is counted.

use std::net::IpAddr;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use crate::db::{DbError, Issuer, PlatformTx};

/// How long attempts are counted together, from the first.
pub const LOGIN_WINDOW: TimeDelta = TimeDelta::minutes(15);
/// Guesses at one account from one address.
const MOST_FROM_ONE_AT_ONE: i32 = 10;
/// Guesses at one account, wherever they come from. More than from one address, so that one stranger
/// alone does not keep the owner out.
const MOST_AT_ONE: i32 = 100;
/// Guesses from one address, at whatever accounts.
const MOST_FROM_ONE: i32 = 100;

/// What attempts are counted by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptKey {
    hash: Vec<u8>,
    most: i32,
}

impl AttemptKey {
    /// The counters that an attempt on `account` from `address` falls under, in the order in which
    /// their rows are to be locked.
    #[must_use]
    pub fn of(account: &str, address: IpAddr) -> Vec<Self> {
        let (account, place) = (account.to_lowercase(), network(address));
        let mut keys = vec![
            Self::new(&["both", &account, &place], MOST_FROM_ONE_AT_ONE),
            Self::new(&["account", &account], MOST_AT_ONE),
            Self::new(&["address", &place], MOST_FROM_ONE),
        ];
        keys.sort_by(|one, other| one.hash.cmp(&other.hash));
        keys
    }

    fn new(parts: &[&str], most: i32) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self {
            hash: hash.finalize().to_vec(),
            most,
        }
    }
}

/// An address of IPv6 is counted by its /64: whoever has one has them all.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// Counts an attempt. The answer says when the next may be made if this is one too many.
pub async fn count_attempts(
    tx: &mut PlatformTx<Issuer>,
    keys: &[AttemptKey],
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, DbError> {
    let hashes: Vec<Vec<u8>> = keys.iter().map(|key| key.hash.clone()).collect();
    let counted = sqlx::query!(
        "INSERT INTO login_attempts AS known (key, attempts, since)
         SELECT key, 1, $2 FROM unnest($1::bytea[]) AS key
         ON CONFLICT (key) DO UPDATE SET
             attempts = CASE WHEN known.since <= $3 THEN 1 ELSE least(known.attempts, 1000000) + 1 END,
             since = CASE WHEN known.since <= $3 THEN $2 ELSE known.since END
         RETURNING key, attempts, since",
        &hashes,
        now,
        now - LOGIN_WINDOW,
    )
    .fetch_all(tx.connection())
    .await?;
    let too_many = counted.into_iter().filter(|row| {
        keys.iter()
            .any(|key| key.hash == row.key && row.attempts > key.most)
    });
    Ok(too_many.map(|row| row.since + LOGIN_WINDOW).max())
}

/// Takes back an attempt that was no guess. What was counted by others before stays, but for the
/// account at this address, whose owner has just shown who they are.
pub async fn forget_attempts(
    tx: &mut PlatformTx<Issuer>,
    keys: &[AttemptKey],
) -> Result<(), DbError> {
    let hashes: Vec<Vec<u8>> = keys.iter().map(|key| key.hash.clone()).collect();
    let clears: Vec<bool> = keys
        .iter()
        .map(|key| key.most == MOST_FROM_ONE_AT_ONE)
        .collect();
    sqlx::query!(
        "UPDATE login_attempts AS known
         SET attempts = CASE WHEN own.clears THEN 0 ELSE greatest(known.attempts - 1, 0) END
         FROM unnest($1::bytea[], $2::bool[]) AS own (key, clears)
         WHERE known.key = own.key",
        &hashes,
        &clears,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(account: &str, address: &str) -> Vec<AttemptKey> {
        AttemptKey::of(account, address.parse().unwrap())
    }

    fn shared(one: &[AttemptKey], other: &[AttemptKey]) -> Vec<i32> {
        let mut most: Vec<i32> = one
            .iter()
            .filter(|key| other.contains(key))
            .map(|key| key.most)
            .collect();
        most.sort_unstable();
        most
    }

    #[test]
    fn upper_case_and_neighbours_of_one_network_are_no_way_around() {
        let one = key("a@b", "2001:db8::1");
        assert_eq!(one, key("A@B", "2001:db8::ffff:1"));
        assert_eq!(key("a@b", "::ffff:192.0.2.1"), key("a@b", "192.0.2.1"));
    }

    #[test]
    fn another_account_shares_the_address_and_another_address_the_account() {
        let one = key("a@b", "192.0.2.1");
        assert_eq!(shared(&one, &key("c@d", "192.0.2.1")), [MOST_FROM_ONE]);
        assert_eq!(shared(&one, &key("a@b", "192.0.2.2")), [MOST_AT_ONE]);
        assert_eq!(shared(&one, &key("c@d", "192.0.2.2")), [0; 0]);
    }
}
