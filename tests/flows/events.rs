//! Events: one sequence for each tenant, the same in every channel.

mod ending;
mod numbers;
mod pace;

use serde_json::Value;

use crate::harness::{Caller, EventStream, Message, Stack};

const ALL: &str = "/api/v1/events";

fn path_of(job: &str) -> String {
    format!("/api/v1/jobs/{job}/events")
}

/// The tenant's events as a list, page by page from the beginning.
async fn list(caller: &Caller, path: &str) -> Vec<Value> {
    let (mut events, mut since) = (Vec::new(), 0);
    loop {
        let page = caller
            .get(&format!("{path}?since={since}&limit=7"))
            .await
            .expect(200)
            .json;
        assert!(page["reset"].is_null(), "{page}");
        let items = page["items"].as_array().unwrap();
        since = page["last_id"].as_i64().unwrap();
        if items.is_empty() {
            return events;
        }
        events.extend(items.iter().cloned());
    }
}

fn ids(messages: &[Message]) -> Vec<i64> {
    messages.iter().map(|message| message.id).collect()
}

/// Writes events as the owner, of whom nobody is told.
async fn write_events(stack: &Stack, tenant: &str, job: &str, count: i32) {
    sqlx::query(
        "WITH counter AS (
             UPDATE event_counters SET last_sequence = last_sequence + $3 WHERE tenant_id = $1
             RETURNING last_sequence - $3 AS base
         )
         INSERT INTO events (tenant_id, sequence, type, job_id, data, created_at)
         SELECT $1, counter.base + n, 'job.progress', $2::uuid, jsonb_build_object('n', n), now()
         FROM counter, generate_series(1, $3) AS n",
    )
    .bind(tenant)
    .bind(job)
    .bind(count)
    .execute(&mut stack.owner().await)
    .await
    .unwrap();
}

async fn open(caller: &Caller, path: &str, last: Option<i64>) -> EventStream {
    EventStream::open(caller, path, last).await
}
