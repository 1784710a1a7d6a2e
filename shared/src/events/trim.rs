//! Forgets the oldest events.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Engine, PlatformTx},
    ids::TenantId,
};

/// What is kept of each tenant's sequence: events that neither rule lets go.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Events older than this go.
    pub since: DateTime<Utc>,
    /// Events that this many follow go.
    pub most: i64,
}

/// What one call has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trimmed {
    /// Events that are gone.
    pub events: i64,
    /// The last tenant that was looked at; absent = there was none.
    pub last: Option<TenantId>,
}

/// Tenants in one call.
const TENANTS: i64 = 100;
/// Events of one tenant that are looked at in one call.
const SLICE: i64 = 500;

/// Forgets events of some tenants, those that follow `after` in the order of their slugs. Call it
/// with the same tenant again until nothing went, then with the last one of the answer.
///
/// What is left of a sequence has no hole: from the first number that is kept, all are.
pub async fn trim_events(
    tx: &mut PlatformTx<Engine>,
    keep: Retention,
    after: Option<&TenantId>,
) -> Result<Trimmed, DbError> {
    // A tenant's first event is looked at before more of them are, so a tenant with nothing to
    // forget costs one look into the index. The slice is a range of numbers, so that PostgreSQL does
    // not read and sort all of a tenant that it thinks small. Times need not rise with numbers to
    // the microsecond: what lies before an event that is due goes with it.
    let trimmed = sqlx::query!(
        r#"WITH page AS (
               SELECT tenant_id, last_sequence FROM event_counters
               WHERE $3::text IS NULL OR tenant_id > $3
               ORDER BY tenant_id LIMIT $4
           ), due AS (
               SELECT page.tenant_id, event.sequence
               FROM page
               CROSS JOIN LATERAL (SELECT sequence, created_at FROM events
                                   WHERE tenant_id = page.tenant_id
                                   ORDER BY sequence LIMIT 1) AS first
               CROSS JOIN LATERAL (SELECT sequence,
                                          max(sequence) FILTER (
                                              WHERE created_at < $1 OR sequence <= page.last_sequence - $2
                                          ) OVER () AS last_due
                                   FROM (SELECT sequence, created_at FROM events
                                         WHERE tenant_id = page.tenant_id
                                           AND sequence < first.sequence + $5::bigint) AS slice) AS event
               WHERE (first.created_at < $1 OR first.sequence <= page.last_sequence - $2)
                 AND event.sequence <= event.last_due
           ), gone AS (
               DELETE FROM events USING due
               WHERE events.tenant_id = due.tenant_id AND events.sequence = due.sequence
               RETURNING events.sequence
           )
           SELECT (SELECT count(*) FROM gone) AS "events!",
                  (SELECT max(tenant_id) FROM page) AS "last: TenantId""#,
        keep.since,
        keep.most,
        after.map(TenantId::as_str),
        TENANTS,
        SLICE,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(Trimmed {
        events: trimmed.events,
        last: trimmed.last,
    })
}
