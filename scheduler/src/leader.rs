//! Who runs the loops: the process that holds an advisory lock of the database.
//!
//! The lock lives as long as the connection that took it, so a killed leader is replaced at once. One
//! that stands still, or whose host has vanished, keeps its connection; so the database ends a leader's
//! session that was silent for [`SILENCE`], and another takes the lock. Both together take less than ten
//! seconds.
//!
//! A leader that comes to itself after that asks before it acts: a loop begins no tick while the lock
//! was not confirmed for [`CERTAIN_FOR`]. A tick that it was in the middle of goes on beside the new
//! leader's, which the loops allow: each statement says what it expects to find.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use sqlx::postgres::PgAdvisoryLockKey;
use tokio::time::Instant;
use unity_shared::{
    db::{Database, DbError, Engine, PlatformTx},
    queue::ShardId,
    telemetry::chain,
};

use crate::agenda::Agenda;

/// "unity" in the upper bytes; there is one scheduler lock in a database.
const LOCK: PgAdvisoryLockKey = PgAdvisoryLockKey::BigInt(0x756e_6974_7900_0001);
const ANSWER_TIME: Duration = Duration::from_secs(3);
/// The database ends the session of a leader that asked nothing for this long. It asks each second.
const SILENCE: &str = "6s";
/// The database gives up a question that takes longer, before we do: the lock is still there then.
const QUESTION_TIME: &str = "2s";
/// How long a confirmed lock is relied on: less than [`SILENCE`], so that nobody else can have it.
const CERTAIN_FOR: Duration = Duration::from_secs(5);

/// The lock, as long as it is held. Dropping it gives it up.
pub(crate) struct Leadership {
    session: PlatformTx<Engine>,
    term: Term,
}

/// What a loop may know of the lock.
#[derive(Debug, Clone)]
pub(crate) struct Term {
    began: Instant,
    /// Milliseconds from `began` to when the lock was asked for and then found to be held.
    confirmed: Arc<AtomicU64>,
}

impl Leadership {
    /// Takes the lock if nobody has it.
    pub(crate) async fn take(database: &Database) -> Result<Option<Self>, DbError> {
        let mut session = database.engine().dedicated().await?;
        let term = Term::begin();
        sqlx::query!(
            r#"SELECT set_config('idle_session_timeout', $1, false) AS "silence",
                      set_config('statement_timeout', $2, false) AS "question""#,
            SILENCE,
            QUESTION_TIME,
        )
        .fetch_one(session.connection())
        .await?;
        let taken = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock($1) AS "taken!""#,
            LOCK.as_bigint().unwrap_or_default()
        )
        .fetch_one(session.connection())
        .await?;
        Ok(taken.then_some(Self { session, term }))
    }

    /// What there is to do; none if the connection, and so the lock, is not there any more. One question
    /// is both. If it was refused (somebody has locked a table), every loop looks for itself.
    pub(crate) async fn ask(&mut self, shard: ShardId, now: DateTime<Utc>) -> Option<Agenda> {
        let asked = Instant::now();
        let question = Agenda::ask(self.session.connection(), shard, now);
        let agenda = match tokio::time::timeout(ANSWER_TIME, question).await {
            Ok(Ok(agenda)) => agenda,
            Ok(Err(error)) => {
                tracing::warn!(error = chain(&error), "could not ask what there is to do");
                self.answers().await.then(Agenda::everything)?
            }
            Err(_) => return None,
        };
        self.term.confirm(asked);
        Some(agenda)
    }

    /// Whether the connection is still there.
    async fn answers(&mut self) -> bool {
        let ping = sqlx::query!("SELECT 1 AS one").fetch_one(self.session.connection());
        matches!(tokio::time::timeout(ANSWER_TIME, ping).await, Ok(Ok(_)))
    }

    /// What the loops of this leader look at.
    pub(crate) fn term(&self) -> Term {
        self.term.clone()
    }
}

impl Term {
    fn begin() -> Self {
        Self {
            began: Instant::now(),
            confirmed: Arc::default(),
        }
    }

    fn confirm(&self, asked: Instant) {
        let since = asked.saturating_duration_since(self.began).as_millis();
        let since = u64::try_from(since).unwrap_or(u64::MAX);
        self.confirmed.store(since, Ordering::Relaxed);
    }

    /// Whether nobody else can lead now.
    pub(crate) fn is_certain(&self) -> bool {
        let confirmed = Duration::from_millis(self.confirmed.load(Ordering::Relaxed));
        self.began.elapsed().saturating_sub(confirmed) < CERTAIN_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_stood_still_is_not_certain_until_it_has_asked() {
        let term = Term::begin();
        assert!(term.is_certain());
        tokio::time::advance(CERTAIN_FOR).await;
        assert!(!term.is_certain());
        term.confirm(Instant::now());
        assert!(term.is_certain());
    }
}
