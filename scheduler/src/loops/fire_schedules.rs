//! Fires the schedules that are due.
//!
//! The firing is a row, unique by schedule and instant, written in one transaction with the jobs and
//! the next instant: two leaders, or a crash at any point, fire once. What was missed while nobody
//! led is fired once, not once for each time.

use std::str::FromStr;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use unity_shared::{
    db::DbError,
    jobs::{KindSpec, NewJob, enqueue_for_active_tenants, kinds::find_kind},
    queue::Offer,
};
use uuid::Uuid;

use super::{Context, LoopError};

struct DueSchedule {
    id: Uuid,
    name: String,
    cron: String,
    kind: String,
    payload: serde_json::Value,
    next_fire_at: Option<DateTime<Utc>>,
}

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let now = context.clock.now();
    let mut tx = context.database.engine().statement().await?;
    let due = select_due(tx.connection(), now).await?;
    drop(tx);
    for schedule in due {
        let next = next_after(&schedule, now)?;
        let (Some(fire_at), Some(kind)) = (schedule.next_fire_at, find_kind(&schedule.kind)) else {
            // New, or of a kind that this binary does not know: only the next instant is written.
            let mut tx = context.database.engine().statement().await?;
            set_next(tx.connection(), &schedule, next).await?;
            continue;
        };
        let offers = fire(context, &schedule, kind, fire_at, next).await?;
        context.gate.offer(&offers).await?;
        tracing::info!(schedule = schedule.name, %fire_at, jobs = offers.len(), "schedule fired");
    }
    Ok(())
}

async fn fire(
    context: &Context,
    schedule: &DueSchedule,
    kind: &KindSpec,
    fire_at: DateTime<Utc>,
    next: Option<DateTime<Utc>>,
) -> Result<Vec<Offer>, LoopError> {
    let now = context.clock.now();
    let job = NewJob::new(kind, &schedule.payload, now).map_err(|error| LoopError::Schedule {
        name: schedule.name.clone(),
        detail: error.to_string(),
    })?;
    let mut tx = context.database.engine().begin().await?;
    // The unique row is taken first: whoever comes second waits here and then finds it taken.
    if !insert_firing(tx.connection(), schedule.id, fire_at, now).await? {
        return Ok(Vec::new());
    }
    let offers = enqueue_for_active_tenants(&mut tx, context.gate.shard(), &job, now).await?;
    count_jobs(tx.connection(), schedule.id, fire_at, offers.len()).await?;
    set_next(tx.connection(), schedule, next).await?;
    tx.commit().await?;
    Ok(offers)
}

/// The first instant of the expression after `now`, in UTC; none if it has none any more.
fn next_after(
    schedule: &DueSchedule,
    now: DateTime<Utc>,
) -> Result<Option<DateTime<Utc>>, LoopError> {
    let cron = cron::Schedule::from_str(&schedule.cron).map_err(|error| LoopError::Schedule {
        name: schedule.name.clone(),
        detail: error.to_string(),
    })?;
    Ok(cron.after(&now).next())
}

async fn select_due(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<DueSchedule>, DbError> {
    let due = sqlx::query_as!(
        DueSchedule,
        "SELECT id, name, cron, kind, payload, next_fire_at FROM schedules
         WHERE enabled AND (next_fire_at IS NULL OR next_fire_at <= $1)
         ORDER BY id",
        now,
    )
    .fetch_all(connection)
    .await?;
    Ok(due)
}

async fn insert_firing(
    connection: &mut PgConnection,
    schedule: Uuid,
    fire_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let inserted = sqlx::query!(
        "INSERT INTO schedule_firings (schedule_id, fire_at, fired_at, job_count) VALUES ($1, $2, $3, 0)
         ON CONFLICT DO NOTHING",
        schedule,
        fire_at,
        now,
    )
    .execute(connection)
    .await?;
    Ok(inserted.rows_affected() == 1)
}

async fn count_jobs(
    connection: &mut PgConnection,
    schedule: Uuid,
    fire_at: DateTime<Utc>,
    jobs: usize,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE schedule_firings SET job_count = $3 WHERE schedule_id = $1 AND fire_at = $2",
        schedule,
        fire_at,
        i32::try_from(jobs).unwrap_or(i32::MAX),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Moves the schedule on, unless somebody else has.
async fn set_next(
    connection: &mut PgConnection,
    schedule: &DueSchedule,
    next: Option<DateTime<Utc>>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE schedules SET next_fire_at = $3, enabled = ($3::timestamptz IS NOT NULL)
         WHERE id = $1 AND next_fire_at IS NOT DISTINCT FROM $2",
        schedule.id,
        schedule.next_fire_at,
        next,
    )
    .execute(connection)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(cron: &str) -> DueSchedule {
        DueSchedule {
            id: Uuid::nil(),
            name: "test".into(),
            cron: cron.into(),
            kind: "provision_namespace".into(),
            payload: serde_json::json!({}),
            next_fire_at: None,
        }
    }

    #[test]
    fn the_next_instant_is_after_now_even_when_now_is_one() {
        let now = DateTime::parse_from_rfc3339("2026-11-23T10:10:00Z")
            .unwrap()
            .to_utc();
        let next = next_after(&schedule("0 */10 * * * *"), now)
            .unwrap()
            .unwrap();
        assert_eq!(next.to_rfc3339(), "2026-11-23T10:20:00+00:00");
    }

    #[test]
    fn a_broken_expression_is_an_error_that_names_the_schedule() {
        let error = next_after(&schedule("whenever"), DateTime::UNIX_EPOCH).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("schedule test has no valid cron expression")
        );
    }
}
