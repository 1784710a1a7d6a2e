//! Reads a tenant's sequence.

use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Event;
use crate::{
    db::{DbError, TenantTx},
    ids::{JobId, TenantId},
};

/// Events that follow a number, and what there is to follow. All of it is from one snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// In their order; at most as many as were asked for.
    pub events: Vec<Event>,
    /// The oldest event that is kept; one more than `latest_id` if none is.
    pub oldest_id: i64,
    /// The latest event of the tenant; 0 before the first.
    pub latest_id: i64,
}

impl EventPage {
    /// Whether events after `after` are gone, or `after` has not been: its holder cannot follow the
    /// sequence from there.
    #[must_use]
    pub const fn is_broken_after(&self, after: i64) -> bool {
        after < self.oldest_id - 1 || after > self.latest_id
    }

    /// The number after which a page of `limit` events goes on; absent = it does not: nothing up to
    /// `latest_id` is missing from what was asked for.
    #[must_use]
    pub fn next_after(&self, limit: i64) -> Option<i64> {
        let is_full = i64::try_from(self.events.len()).unwrap_or(i64::MAX) >= limit;
        let last = self.events.last().filter(|_| is_full)?;
        Some(last.sequence)
    }
}

/// A job's events that follow a number.
#[derive(Debug, Clone, PartialEq)]
pub struct JobEventPage {
    /// Its events, and the bounds of the tenant's whole sequence.
    pub page: EventPage,
    /// Whether the job had ended. Then its events were all written, up to the last.
    pub ended: bool,
}

/// The tenant's events after number `after`, at most `limit`.
pub async fn list_events(tx: &mut TenantTx, after: i64, limit: i64) -> Result<EventPage, DbError> {
    let tenant = tx.tenant().clone();
    // One statement, because two would see two moments: events trimmed between them would be
    // missing without a trace. The page is a range of numbers, as there are no gaps: asked for the
    // first so many rows instead, PostgreSQL may read and sort all of a tenant that it thinks small.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT counter.last_sequence AS latest_id,
                  (SELECT min(sequence) FROM events WHERE tenant_id = $1) AS oldest_id,
                  NULL::boolean AS ended,
                  event.sequence AS "sequence?", event.type AS "event_type?",
                  event.job_id AS "job_id?: JobId", event.data AS "data?",
                  event.created_at AS "created_at?"
           FROM event_counters AS counter
           LEFT JOIN (SELECT sequence, type, job_id, data, created_at FROM events
                      WHERE tenant_id = $1 AND sequence > $2 AND sequence <= $3) AS event ON true
           WHERE counter.tenant_id = $1
           ORDER BY event.sequence"#,
        tenant.as_str(),
        after,
        after.saturating_add(limit),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(page(&tenant, rows))
}

/// The events of one job after number `after`, at most `limit`; absent if the tenant has no such job.
pub async fn list_job_events(
    tx: &mut TenantTx,
    job: JobId,
    after: i64,
    limit: i64,
) -> Result<Option<JobEventPage>, DbError> {
    let tenant = tx.tenant().clone();
    // The job's end is read in the same snapshot: a job that has ended in it has all its events there.
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT counter.last_sequence AS latest_id,
                  (SELECT min(sequence) FROM events WHERE tenant_id = $1) AS oldest_id,
                  (SELECT finished_at IS NOT NULL FROM jobs WHERE tenant_id = $1 AND id = $4) AS ended,
                  event.sequence AS "sequence?", event.type AS "event_type?",
                  event.job_id AS "job_id?: JobId", event.data AS "data?",
                  event.created_at AS "created_at?"
           FROM event_counters AS counter
           LEFT JOIN (SELECT sequence, type, job_id, data, created_at FROM events
                      WHERE tenant_id = $1 AND job_id = $4 AND sequence > $2
                      ORDER BY sequence LIMIT $3) AS event ON true
           WHERE counter.tenant_id = $1
           ORDER BY event.sequence"#,
        tenant.as_str(),
        after,
        limit,
        job.as_uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    let ended = rows.first().and_then(|row| row.ended);
    Ok(ended.map(|ended| JobEventPage {
        page: page(&tenant, rows),
        ended,
    }))
}

/// Either statement's row. The bounds are in every row; one without an event says that there is none.
struct Row {
    latest_id: i64,
    oldest_id: Option<i64>,
    ended: Option<bool>,
    sequence: Option<i64>,
    event_type: Option<String>,
    job_id: Option<JobId>,
    data: Option<Value>,
    created_at: Option<DateTime<Utc>>,
}

impl Row {
    fn event(self, tenant: &TenantId) -> Option<Event> {
        Some(Event {
            sequence: self.sequence?,
            event_type: self.event_type?,
            job_id: self.job_id?,
            tenant_id: tenant.clone(),
            created_at: self.created_at?,
            data: self.data?,
        })
    }
}

fn page(tenant: &TenantId, rows: Vec<Row>) -> EventPage {
    let latest_id = rows.first().map_or(0, |row| row.latest_id);
    let oldest_id = rows.first().and_then(|row| row.oldest_id);
    EventPage {
        oldest_id: oldest_id.unwrap_or(latest_id + 1),
        latest_id,
        events: rows
            .into_iter()
            .filter_map(|row| row.event(tenant))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_can_be_followed_from_just_before_the_oldest_to_the_latest() {
        let page = EventPage {
            events: Vec::new(),
            oldest_id: 5,
            latest_id: 9,
        };
        let broken: Vec<i64> = (0..12)
            .filter(|after| page.is_broken_after(*after))
            .collect();
        assert_eq!(broken, [0, 1, 2, 3, 10, 11]);
        assert!(page.is_broken_after(i64::MAX));
    }
}
