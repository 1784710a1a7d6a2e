//! Who runs the loops: the process that holds an advisory lock of the database.
//!
//! The lock lives as long as the connection that took it, so a killed leader is replaced at once.
//! A leader that is cut off notices when the connection stops answering; for a moment two may lead,
//! which the loops allow.

use std::time::Duration;

use sqlx::{PgConnection, postgres::PgAdvisoryLockKey};
use unity_shared::db::{Database, DbError};

/// "unity" in the upper bytes; there is one scheduler lock in a database.
const LOCK: PgAdvisoryLockKey = PgAdvisoryLockKey::BigInt(0x756e_6974_7900_0001);
const ANSWER_TIME: Duration = Duration::from_secs(5);

/// The lock, as long as it is held. Dropping it gives it up.
pub(crate) struct Leadership {
    connection: PgConnection,
}

impl Leadership {
    /// Takes the lock if nobody has it.
    pub(crate) async fn take(database: &Database) -> Result<Option<Self>, DbError> {
        let mut connection = database.engine().dedicated().await?;
        let taken = sqlx::query_scalar!(
            r#"SELECT pg_try_advisory_lock($1) AS "taken!""#,
            LOCK.as_bigint().unwrap_or_default()
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(taken.then_some(Self { connection }))
    }

    /// Whether the connection, and so the lock, is still there.
    pub(crate) async fn holds(&mut self) -> bool {
        let ping = sqlx::query!("SELECT 1 AS one").fetch_one(&mut self.connection);
        matches!(tokio::time::timeout(ANSWER_TIME, ping).await, Ok(Ok(_)))
    }
}
