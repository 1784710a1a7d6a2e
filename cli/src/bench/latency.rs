//! How soon a job is done on a fleet that has time: orders come on an open schedule, whatever the
//! answers do. A job's latency is counted from its 202 to the end of its attempt, which is later than
//! the start of its handler; a job that ended before its 202 was read counts as 0.

use std::{
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result};
use chrono::{DateTime, Utc};
use serde_json::Value;
use tokio::task::JoinSet;
use unity_shared::{clock::Clock, ids::JobId};

use super::{
    Bench,
    figure::{Reading, Unit},
    http::{Connection, Request},
    limits,
    load::{on_own_thread, percentile},
    orders::{TAKEN, no_op, order},
    rows,
    stack::Stack,
};

const RATE: u32 = 200;
const CONNECTIONS: u32 = 16;
const CONCURRENCY: u32 = 50;
const TENANT_LIMIT: u32 = 100;
const WARM_UP_JOBS: usize = 200;
/// So many times as long as a load lasts.
const LOADS: u32 = 4;

/// What the sender saw of one job.
struct Sent {
    id: JobId,
    /// When its 202 was there, by the database's clock.
    answered_at: DateTime<Utc>,
    /// How long the 202 took.
    answer: Duration,
    /// How late it was sent.
    late: Duration,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let mut stack = Stack::start(bench).await?;
    let tenants = stack.tenants(1, TENANT_LIMIT).await?;
    let tenant = tenants.first().context("no tenant was made")?;
    let worker = stack.worker(CONCURRENCY)?;
    stack.enqueue(&tenants, WARM_UP_JOBS, &no_op()).await?;
    rows::until_all_ended(&mut stack.owner).await?;

    let (clock, offset) = rows::database_clock(&mut stack.owner).await?;
    let time = bench.sizes.load * LOADS;
    let (address, request) = (stack.api, order(tenant, &no_op()));
    let sent = on_own_thread(move || send(address, request, clock, time)).await?;
    rows::until_all_ended(&mut stack.owner).await?;

    let outcome = rows::outcome(&mut stack.owner, None).await?;
    outcome.check(sent.len() + WARM_UP_JOBS)?;
    let ends: HashMap<JobId, DateTime<Utc>> =
        rows::ends(&mut stack.owner).await?.into_iter().collect();
    worker.stop().await?;
    stack.end().await?;
    readings(&sent, &ends, time, offset)
}

/// Sends on schedule for `time`; each connection has every sixteenth order.
async fn send(
    address: SocketAddr,
    request: Request,
    clock: Clock,
    time: Duration,
) -> Result<Vec<Sent>> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open(address).await?);
    }
    let step = Duration::from_secs(1) / RATE;
    let begin = Instant::now() + step;
    let mut running = JoinSet::new();
    for (number, mut connection) in (0_u32..).zip(connections) {
        let (request, clock) = (request.clone(), clock.clone());
        running.spawn(async move {
            let mut sent = Vec::new();
            let mut after = step * number;
            while after < time {
                let due = begin + after;
                tokio::time::sleep_until(due.into()).await;
                sent.push(send_one(&mut connection, &request, &clock, due).await?);
                after += step * CONNECTIONS;
            }
            anyhow::Ok(sent)
        });
    }
    let mut all = Vec::new();
    while let Some(ended) = running.join_next().await {
        all.extend(ended??);
    }
    Ok(all)
}

async fn send_one(
    connection: &mut Connection,
    request: &Request,
    clock: &Clock,
    due: Instant,
) -> Result<Sent> {
    let asked = Instant::now();
    let answer = connection.ask(request).await?;
    let (took, answered_at) = (asked.elapsed(), clock.now());
    answer.expect(TAKEN)?;
    let job: Value = serde_json::from_slice(answer.body)?;
    let id = job.get("id").and_then(Value::as_str);
    Ok(Sent {
        id: id
            .and_then(|id| id.parse().ok())
            .context("the job has no id")?,
        answered_at,
        answer: took,
        late: asked - due,
    })
}

fn readings(
    sent: &[Sent],
    ends: &HashMap<JobId, DateTime<Utc>>,
    time: Duration,
    offset: f64,
) -> Result<Vec<Reading>> {
    let mut done = Vec::with_capacity(sent.len());
    for job in sent {
        let end = ends.get(&job.id).context("a job has no end")?;
        done.push((rows::seconds(*end - job.answered_at) * 1000.0).max(0.0));
    }
    let milliseconds = |time: fn(&Sent) -> Duration| -> Vec<f64> {
        let mut all: Vec<f64> = sent
            .iter()
            .map(|job| time(job).as_secs_f64() * 1000.0)
            .collect();
        all.sort_by(f64::total_cmp);
        all
    };
    done.sort_by(f64::total_cmp);
    let answers = milliseconds(|job| job.answer);
    let late = milliseconds(|job| job.late);
    let readings = [
        ("202 to done, p50", &done, 0.5),
        ("202 to done, p95", &done, 0.95),
        ("202 to done, p99", &done, 0.99),
        ("202 to done, longest", &done, 1.0),
        ("202, p50", &answers, 0.5),
        ("202, p99", &answers, 0.99),
        ("sent late, longest", &late, 1.0),
    ];
    let described = readings.into_iter().map(|(name, values, share)| {
        let reading = Reading::new(name, percentile(values, share), Unit::Milliseconds)
            .with("jobs", sent.len())
            .with("jobs_per_second", RATE)
            .with("seconds", time.as_secs_f64())
            .with("connections", CONNECTIONS)
            .with("worker_concurrency", CONCURRENCY)
            .with("tenants", 1)
            .with("clock_offset_ms", offset);
        if share < 0.6 {
            reading.against(limits::COMMIT_TIME)
        } else {
            reading
        }
    });
    Ok(described.collect())
}
