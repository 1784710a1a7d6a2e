//! PostgreSQL: rows as wide as jobs with one index besides the key, row by row and a thousand at a
//! time, each durable when it is answered. Through the driver that Unity uses.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::try_join_all;
use sqlx::{ConnectOptions as _, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use super::{COMMIT_TIME, COMMITS, INSERTS, Pace};
use crate::bench::{
    figure::{Reading, Unit},
    ground::{Ground, execute},
    load::on_own_thread,
    stack::connect,
};

const ROWS: usize = 1000;
const TABLE: &str = "CREATE TABLE floor (
    id uuid PRIMARY KEY, tenant text NOT NULL, kind text NOT NULL, status text NOT NULL,
    payload jsonb NOT NULL, created_at timestamptz NOT NULL DEFAULT now()
)";
const INDEX: &str = "CREATE INDEX ON floor (tenant, status, id)";
const INSERT_ONE: &str = "INSERT INTO floor (id, tenant, kind, status, payload)
    VALUES ($1, $2, $3, $4, $5)";
const INSERT_MANY: &str = "INSERT INTO floor (id, tenant, kind, status, payload)
    SELECT id, $2, $3, $4, $5 FROM unnest($1::uuid[]) AS id";

/// What is written at a time.
#[derive(Clone, Copy)]
enum Write {
    One,
    Many,
}

pub(super) async fn run(ground: &Ground, time: Duration) -> Result<Vec<Reading>> {
    let site = ground.site().await?;
    let mut owner = connect(&site).await?;
    let mut readings = Vec::new();
    for (name, connections, write) in [
        (COMMIT_TIME, 1, Write::One),
        (COMMITS, 32, Write::One),
        (
            "PostgreSQL, inserts of 1000 rows, 1 connection",
            1,
            Write::Many,
        ),
        (INSERTS, 8, Write::Many),
    ] {
        execute(&mut owner, "DROP TABLE IF EXISTS floor").await?;
        execute(&mut owner, TABLE).await?;
        execute(&mut owner, INDEX).await?;
        let pace = pace(site.owner.clone(), connections, write, time).await?;
        let reading = match (name, write) {
            (COMMIT_TIME, _) => Reading::new(name, pace.median(), Unit::Milliseconds),
            (_, Write::One) => Reading::new(name, pace.rate(1), Unit::RowsPerSecond),
            (_, Write::Many) => Reading::new(name, pace.rate(ROWS), Unit::RowsPerSecond),
        };
        readings.push(
            reading
                .with("connections", connections)
                .with("seconds", time.as_secs_f64()),
        );
    }
    drop(owner);
    ground.clear(&site.name).await?;
    Ok(readings)
}

async fn pace(
    options: PgConnectOptions,
    connections: usize,
    write: Write,
    time: Duration,
) -> Result<Pace> {
    on_own_thread(move || async move {
        let opening = (0..connections).map(|_| options.connect());
        let mut opened = try_join_all(opening).await?;
        let begun = Instant::now();
        let writing = opened.iter_mut().map(|connection| async move {
            let payload = payload();
            let mut times = Vec::new();
            while begun.elapsed() < time {
                let asked = Instant::now();
                insert(connection, write, &payload).await?;
                times.push(asked.elapsed());
            }
            anyhow::Ok(times)
        });
        let times = try_join_all(writing).await?;
        Ok(Pace::of(times, begun.elapsed()))
    })
    .await
}

async fn insert(
    connection: &mut PgConnection,
    write: Write,
    payload: &serde_json::Value,
) -> Result<()> {
    let query = match write {
        Write::One => sqlx::query(INSERT_ONE).bind(Uuid::now_v7()),
        Write::Many => {
            let ids: Vec<Uuid> = (0..ROWS).map(|_| Uuid::now_v7()).collect();
            sqlx::query(INSERT_MANY).bind(ids)
        }
    };
    query
        .bind("bench-0")
        .bind("probe-of-the-floor")
        .bind("queued")
        .bind(payload)
        .execute(connection)
        .await?;
    Ok(())
}

/// With the other columns it makes some 300 bytes.
fn payload() -> serde_json::Value {
    serde_json::json!({ "to": "someone@example.org", "n": 42, "note": "x".repeat(120) })
}
