//! What waits for the loops, asked once a second in one statement.
//!
//! A loop that has nothing to do would find so in a statement of its own, each second. Here one statement
//! says it for all of them: each answer is about the rows that a loop looks for, by the index that the loop
//! finds them by. It decides nothing: a loop that runs looks for itself, and one whose answer is no runs
//! all the same after [`AT_THE_LATEST`] or sooner, so that nothing depends on what is asked here alone.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use unity_shared::{db::DbError, queue::ShardId};

/// How often a loop runs at least, whatever the agenda says. One that runs more often says so.
pub(crate) const AT_THE_LATEST: Duration = Duration::from_mins(1);

/// How long a change of a tenant or of a switch counts as new. Longer than any transaction may take: a
/// commit may come later than the instant that it carries.
pub(crate) const NEW: TimeDelta = TimeDelta::minutes(1);

/// What there is to do, at one moment. It is about all shards: at worst a loop looks for nothing.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one answer for each loop, each read by that loop alone"
)]
pub(crate) struct Agenda {
    /// The epoch under which the shard's claims count; absent = it was not read.
    pub epoch: Option<i64>,
    /// Jobs whose time has come.
    pub due_jobs: bool,
    /// Jobs that wait for a place.
    pub queued_jobs: bool,
    /// Jobs that run.
    pub running_jobs: bool,
    /// Jobs whose lease has run out.
    pub expired_leases: bool,
    /// Jobs that nobody could start in time.
    pub late_jobs: bool,
    /// Schedules that are to be fired, or have no next instant yet.
    pub due_schedules: bool,
    /// Tenants that have changed lately.
    pub changed_tenants: bool,
    /// Switches that are on, or went off lately.
    pub switches: bool,
}

impl Agenda {
    /// For when the rows could not be asked: every loop is to look for itself.
    pub(crate) const fn everything() -> Self {
        Self {
            epoch: None,
            due_jobs: true,
            queued_jobs: true,
            running_jobs: true,
            expired_leases: true,
            late_jobs: true,
            due_schedules: true,
            changed_tenants: true,
            switches: true,
        }
    }

    /// Asks the rows.
    ///
    /// Waiting and running jobs are looked for from the youngest on. Of the others the index may hold
    /// thousands that have ended since the last vacuum, and each would be looked at before one that lives.
    /// (`EXISTS` knows no order.)
    pub(crate) async fn ask(
        connection: &mut PgConnection,
        shard: ShardId,
        now: DateTime<Utc>,
    ) -> Result<Self, DbError> {
        let agenda = sqlx::query_as!(
            Agenda,
            r#"SELECT (SELECT epoch FROM gate_epochs WHERE shard = $1) AS epoch,
                      EXISTS (SELECT FROM jobs
                              WHERE status IN ('scheduled', 'retrying') AND run_at <= $2) AS "due_jobs!",
                      (SELECT id FROM jobs WHERE status = 'queued'
                       ORDER BY tenant_id DESC, id DESC LIMIT 1) IS NOT NULL AS "queued_jobs!",
                      (SELECT id FROM jobs WHERE status = 'running'
                       ORDER BY lease_expires_at DESC LIMIT 1) IS NOT NULL AS "running_jobs!",
                      EXISTS (SELECT FROM jobs
                              WHERE status = 'running' AND lease_expires_at < $2) AS "expired_leases!",
                      EXISTS (SELECT FROM jobs
                              WHERE expires_at IS NOT NULL AND started_at IS NULL AND finished_at IS NULL
                                AND expires_at <= $2) AS "late_jobs!",
                      EXISTS (SELECT FROM schedules
                              WHERE enabled AND (next_fire_at IS NULL OR next_fire_at <= $2)) AS "due_schedules!",
                      EXISTS (SELECT FROM tenants WHERE updated_at > $3) AS "changed_tenants!",
                      EXISTS (SELECT FROM switches WHERE ended_at IS NULL AND expires_at > $3)
                          OR EXISTS (SELECT FROM switches WHERE ended_at > $3) AS "switches!""#,
            shard.0,
            now,
            now - NEW,
        )
        .fetch_one(connection)
        .await?;
        Ok(agenda)
    }
}
