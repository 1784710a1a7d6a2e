//! What the record says, read as its owner: whether all has ended, and how.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use unity_shared::{
    clock::Clock,
    ids::JobId,
    jobs::{JobKind as _, kinds::Probe},
};

/// Longer than any scenario takes on a machine that can be measured at all.
const PATIENCE: Duration = Duration::from_mins(10);
/// Each question finds its answer at the beginning of an index.
pub(super) const POLL: Duration = Duration::from_millis(10);
/// A question that is not (events of ten thousand tenants are counted in a millisecond) is asked again after so
/// many times as long as it took: it must not take from the machine what is measured.
const REST: u32 = 40;

/// Waits until no job is unfinished.
pub(super) async fn until_all_ended(owner: &mut PgConnection) -> Result<()> {
    // The beginning of the indexes of unfinished jobs, and not a walk over the ended ones: that would
    // take more of the machine than the work that is measured.
    sqlx::query("SET enable_seqscan = off")
        .execute(&mut *owner)
        .await?;
    // Each job that ends leaves an event at least: as long as there are fewer, the counters say so at
    // next to no cost.
    let left =
        "SELECT count(*) FROM jobs WHERE status IN ('scheduled', 'queued', 'retrying', 'running')";
    let before = events(owner).await?;
    let left: i64 = sqlx::query_scalar(left).fetch_one(&mut *owner).await?;
    until_events(owner, before + left).await?;
    let begun = Instant::now();
    while any_unfinished(owner).await? {
        if begun.elapsed() > PATIENCE {
            bail!("jobs are still unfinished after {PATIENCE:?}");
        }
        tokio::time::sleep(POLL).await;
    }
    sqlx::query("RESET enable_seqscan").execute(owner).await?;
    Ok(())
}

/// Events of all tenants so far. A probe that reports no progress leaves one, when it ends.
pub(super) async fn events(owner: &mut PgConnection) -> Result<i64> {
    let events = "SELECT coalesce(sum(last_sequence), 0)::bigint FROM event_counters";
    Ok(sqlx::query_scalar(events).fetch_one(owner).await?)
}

/// Whether any job is unfinished.
pub(super) async fn any_unfinished(owner: &mut PgConnection) -> Result<bool> {
    let any = "SELECT EXISTS (SELECT FROM jobs WHERE status IN ('scheduled', 'queued', 'retrying'))
                      OR EXISTS (SELECT FROM jobs WHERE status = 'running')";
    Ok(sqlx::query_scalar(any).fetch_one(owner).await?)
}

/// How the probes of one tenant, or of all, came out.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) jobs: i64,
    /// Succeeded at the first attempt.
    pub(super) clean: i64,
    pub(super) first_start: DateTime<Utc>,
    pub(super) last_end: DateTime<Utc>,
}

impl Outcome {
    /// Fails unless there are `expected` jobs and each has run once and well.
    pub(super) fn check(&self, expected: usize) -> Result<()> {
        let expected = i64::try_from(expected)?;
        if self.jobs != expected || self.clean != expected {
            bail!(
                "of {expected} jobs {} are there and {} succeeded at their first attempt",
                self.jobs,
                self.clean
            );
        }
        Ok(())
    }
}

/// Looks at the ended probes of a tenant, or of all.
pub(super) async fn outcome(owner: &mut PgConnection, tenant: Option<&str>) -> Result<Outcome> {
    let row = sqlx::query!(
        r#"SELECT count(*) AS "jobs!",
                  count(*) FILTER (WHERE status = 'succeeded' AND attempt = 1) AS "clean!",
                  min(started_at) AS first_start, max(finished_at) AS last_end
           FROM jobs WHERE kind = $1 AND ($2::text IS NULL OR tenant_id = $2)"#,
        Probe::NAME,
        tenant,
    )
    .fetch_one(owner)
    .await?;
    Ok(Outcome {
        jobs: row.jobs,
        clean: row.clean,
        first_start: row.first_start.context("no job has started")?,
        last_end: row.last_end.context("no job has ended")?,
    })
}

/// How many of a tenant's probes have ended.
pub(super) async fn count_ended(owner: &mut PgConnection, tenant: &str) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "ended!" FROM jobs
           WHERE kind = $1 AND tenant_id = $2 AND finished_at IS NOT NULL"#,
        Probe::NAME,
        tenant,
    )
    .fetch_one(owner)
    .await?)
}

/// Waits until there are so many events; answers how many there were then.
pub(super) async fn until_events(owner: &mut PgConnection, wanted: i64) -> Result<i64> {
    let begun = Instant::now();
    loop {
        let asked = Instant::now();
        let seen = events(owner).await?;
        if seen >= wanted {
            return Ok(seen);
        }
        let cost = asked.elapsed();
        if begun.elapsed() > PATIENCE {
            bail!("{seen} of {wanted} events are there after {PATIENCE:?}");
        }
        tokio::time::sleep(POLL.max(cost * REST)).await;
    }
}

/// From the first start of a probe to the end of the one that ended as the `count`-th, in seconds.
pub(super) async fn seconds_to_end(owner: &mut PgConnection, count: i64) -> Result<f64> {
    let row = sqlx::query!(
        r#"SELECT min(started_at) AS first_start, max(finished_at) AS last_end, count(*) AS "jobs!"
           FROM (SELECT started_at, finished_at FROM jobs
                 WHERE kind = $1 AND status = 'succeeded' AND attempt = 1
                 ORDER BY finished_at LIMIT $2) AS ended"#,
        Probe::NAME,
        count,
    )
    .fetch_one(owner)
    .await?;
    if row.jobs < count {
        bail!(
            "only {} of {count} jobs succeeded at their first attempt",
            row.jobs
        );
    }
    let first = row.first_start.context("no job has started")?;
    let last = row.last_end.context("no job has ended")?;
    Ok(seconds(last - first))
}

/// When each ended probe was finished, by the database's clock.
pub(super) async fn ends(owner: &mut PgConnection) -> Result<Vec<(JobId, DateTime<Utc>)>> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: JobId", finished_at AS "finished_at!" FROM jobs
           WHERE kind = $1 AND finished_at IS NOT NULL"#,
        Probe::NAME,
    )
    .fetch_all(owner)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, row.finished_at))
        .collect())
}

/// Gives every tenant the same limit.
pub(super) async fn set_max_concurrent(owner: &mut PgConnection, most: u32) -> Result<()> {
    let most = i32::try_from(most)?;
    sqlx::query!("UPDATE tenants SET max_concurrent = $1", most)
        .execute(owner)
        .await?;
    Ok(())
}

const CLOCK_QUESTIONS: usize = 50;

/// A clock that reads the database's time, and how far the machine's own is from it. The quickest of
/// many answers decides: its way can hide the least.
pub(super) async fn database_clock(owner: &mut PgConnection) -> Result<(Clock, f64)> {
    let clock = Clock::system();
    let mut best: Option<(Duration, chrono::TimeDelta)> = None;
    for _ in 0..CLOCK_QUESTIONS {
        let asked = Instant::now();
        let before = clock.now();
        let told = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
            .fetch_one(&mut *owner)
            .await?;
        let way = asked.elapsed();
        let offset = told - (before + way / 2);
        if best.is_none_or(|(shortest, _)| way < shortest) {
            best = Some((way, offset));
        }
    }
    let (_, offset) = best.context("the database's clock was not read")?;
    clock.align(clock.now() + offset);
    Ok((clock, seconds(offset) * 1000.0))
}

/// A difference of instants, in seconds.
pub(super) fn seconds(difference: chrono::TimeDelta) -> f64 {
    difference.as_seconds_f64()
}
