//! What the record says after a drill: whether each job that was taken in has ended, and once, and how
//! many attempts of a tenant overlapped.

use std::collections::BTreeMap;

use anyhow::Result;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use unity_shared::ids::JobId;

use super::drill::holds_from;

/// The counts.
#[derive(Debug, Serialize)]
pub(super) struct Counted {
    /// Jobs that were taken in: answered 202.
    taken: i64,
    /// Those of them that have ended.
    ended: i64,
    /// Those that have not, or are gone.
    lost: i64,
    /// Jobs with more than one end since they were last queued.
    ended_twice: i64,
    /// Attempts that began above their tenant's limit.
    over_limit: usize,
    /// Attempts of these jobs whose worker vanished.
    crashed: i64,
}

impl Counted {
    /// Whether every promise was kept.
    pub(super) const fn is_clean(&self) -> bool {
        self.lost == 0 && self.ended_twice == 0 && self.over_limit == 0
    }
}

/// Each tenant's limit, over time.
#[derive(Debug)]
pub(super) struct Limits {
    most: u32,
    lowered: Option<(DateTime<Utc>, u32)>,
}

impl Limits {
    pub(super) const fn of(most: u32) -> Self {
        Self {
            most,
            lowered: None,
        }
    }

    pub(super) const fn lower(&mut self, at: DateTime<Utc>, most: u32) {
        self.lowered = Some((at, most));
    }

    /// What holds for a job that begins then.
    fn at(&self, start: DateTime<Utc>) -> usize {
        let most = match self.lowered {
            Some((lowered, most)) if start >= holds_from(lowered) => most,
            Some(_) | None => self.most,
        };
        usize::try_from(most).unwrap_or(usize::MAX)
    }
}

/// Each process reads its own clock, which follows the database's as well as a round trip can tell.
const CLOCKS: TimeDelta = TimeDelta::milliseconds(60);
/// The shortest time that a lease lasts: an attempt whose worker vanished counts for so long.
const LEASE_SECONDS: f64 = 6.0;

/// The time of the record.
pub(super) async fn now(owner: &mut PgConnection) -> Result<DateTime<Utc>> {
    Ok(sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
        .fetch_one(owner)
        .await?)
}

/// How many jobs run.
pub(super) async fn running(owner: &mut PgConnection) -> Result<i64> {
    Ok(
        sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM jobs WHERE status = 'running'"#)
            .fetch_one(owner)
            .await?,
    )
}

/// Counts. `since` is when the drill began.
pub(super) async fn look(
    owner: &mut PgConnection,
    taken: &[JobId],
    since: DateTime<Utc>,
    limits: &Limits,
) -> Result<Counted> {
    let ids: Vec<uuid::Uuid> = taken.iter().map(JobId::as_uuid).collect();
    let ended = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM jobs WHERE id = ANY ($1) AND finished_at IS NOT NULL"#,
        &ids
    )
    .fetch_one(&mut *owner)
    .await?;
    let crashed = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM job_attempts
           WHERE outcome = 'crashed' AND job_id = ANY ($1)"#,
        &ids
    )
    .fetch_one(&mut *owner)
    .await?;
    let taken = i64::try_from(taken.len())?;
    Ok(Counted {
        taken,
        ended,
        lost: taken - ended,
        ended_twice: ended_twice(owner).await?,
        over_limit: over_limit(&attempts(owner, since).await?, limits),
        crashed,
    })
}

async fn ended_twice(owner: &mut PgConnection) -> Result<i64> {
    Ok(sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM
               (SELECT FROM events
                WHERE type IN ('job.succeeded', 'job.failed', 'job.cancelled', 'job.superseded')
                GROUP BY tenant_id, job_id HAVING count(*) > 1) AS twice"#
    )
    .fetch_one(owner)
    .await?)
}

/// An attempt: whose, and from when to when it held a lease.
#[derive(Debug)]
struct Attempt {
    tenant: String,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

async fn attempts(owner: &mut PgConnection, since: DateTime<Utc>) -> Result<Vec<Attempt>> {
    let attempts = sqlx::query_as!(
        Attempt,
        r#"SELECT tenant_id AS "tenant!", started_at AS "start!",
                  CASE WHEN crashed THEN least(finished_at, started_at + make_interval(secs => $2))
                       ELSE finished_at END AS "end!"
           FROM (SELECT tenant_id, started_at, finished_at, outcome = 'crashed' AS crashed FROM job_attempts
                 UNION ALL
                 SELECT tenant_id, attempt_started_at, finished_at,
                        coalesce(error->>'code' = 'worker_crashed', false)
                 FROM jobs WHERE attempt_started_at IS NOT NULL AND finished_at IS NOT NULL) AS attempt
           WHERE started_at >= $1"#,
        since,
        LEASE_SECONDS,
    )
    .fetch_all(owner)
    .await?;
    Ok(attempts)
}

/// How many attempts began while their tenant already ran as many as it may.
fn over_limit(attempts: &[Attempt], limits: &Limits) -> usize {
    let mut of_tenants: BTreeMap<&str, Vec<&Attempt>> = BTreeMap::new();
    for attempt in attempts {
        of_tenants.entry(&attempt.tenant).or_default().push(attempt);
    }
    let mut over = 0;
    for attempts in of_tenants.values_mut() {
        attempts.sort_by_key(|attempt| attempt.start);
        let mut running: Vec<DateTime<Utc>> = Vec::new();
        for attempt in attempts {
            running.retain(|end| *end > attempt.start + CLOCKS);
            over += usize::from(running.len() >= limits.at(attempt.start));
            running.push(attempt.end);
        }
    }
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(start: i64, end: i64) -> Attempt {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        Attempt {
            tenant: "acme".to_owned(),
            start: at(start),
            end: at(end),
        }
    }

    #[test]
    fn an_attempt_that_begins_beside_as_many_as_may_run_is_over_the_limit() {
        let attempts = [attempt(0, 10), attempt(1, 3), attempt(2, 4), attempt(3, 5)];
        assert_eq!(over_limit(&attempts, &Limits::of(3)), 0);
        assert_eq!(over_limit(&attempts, &Limits::of(2)), 2);
    }

    #[test]
    fn a_lowered_limit_holds_for_what_begins_after_it() {
        let attempts = [attempt(0, 10), attempt(1, 12), attempt(8, 9)];
        let mut limits = Limits::of(3);
        limits.lower(DateTime::from_timestamp(5, 0).unwrap(), 1);
        assert_eq!(over_limit(&attempts, &limits), 1);
    }
}
