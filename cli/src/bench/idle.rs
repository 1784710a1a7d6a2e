//! What a stack costs that has nothing to do: time on a core of each process, and what it asks of the
//! servers.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::{
    Bench,
    figure::{Reading, Unit},
    processes,
    stack::Stack,
};

const CONCURRENCY: u32 = 10;
const TENANT_LIMIT: u32 = 100;
/// So many times as long as a load lasts, which makes a minute: some things are done once in one.
const LOADS: u32 = 12;
/// The same before it. A tenant counts as changed for a minute, and a session that rests reports its
/// transactions after ten seconds: what a start did is over, and told, by then.
const SETTLE_LOADS: u32 = 13;

/// What has been spent up to a moment.
struct Spent {
    processes: Vec<(&'static str, f64)>,
    transactions: i64,
    pings: u64,
    redis_commands: u64,
    redis_reads: u64,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let mut stack = Stack::start(bench).await?;
    stack.tenants(1, TENANT_LIMIT).await?;
    let mut worker = stack.worker(CONCURRENCY)?;
    worker.ready().await?;
    stack.parts.push(worker);
    tokio::time::sleep(bench.sizes.load * SETTLE_LOADS).await;

    let begun = Instant::now();
    let before = spent(&stack).await?;
    tokio::time::sleep(bench.sizes.load * LOADS).await;
    let after = spent(&stack).await?;
    let time = begun.elapsed();
    stack.end().await?;
    Ok(readings(&before, &after, time))
}

async fn spent(stack: &Stack<'_>) -> Result<Spent> {
    // From outside of the database that is looked at, so that the look itself is not counted there.
    let transactions = stack.ground.transactions(&stack.site.name).await?;
    let mut pings = 0;
    for part in stack.parts.iter().filter(|part| part.is_ours()) {
        pings += part.counter("unity_database_pings_total").await?;
    }
    let (redis_commands, redis_reads) = stack.ground.redis().await?.counters().await?;
    Ok(Spent {
        processes: processes::spent(stack, &[]),
        transactions,
        pings,
        redis_commands,
        redis_reads,
    })
}

/// Our own look at Redis: two commands to connect and two questions, each in a round trip. What is
/// asked before the first reading is what is asked before the second.
const OWN: u64 = 4;

#[expect(clippy::cast_precision_loss, reason = "counts of seconds' work")]
fn readings(before: &Spent, after: &Spent, time: Duration) -> Vec<Reading> {
    let seconds = time.as_secs_f64();
    let mut readings = Vec::new();
    let mut all = 0.0;
    for ((name, earlier), (_, later)) in before.processes.iter().zip(&after.processes) {
        let share = (later - earlier) / seconds * 100.0;
        all += share;
        readings.push(Reading::new(
            format!("CPU, {name}"),
            share,
            Unit::PercentOfCore,
        ));
    }
    readings.push(Reading::new("CPU, all together", all, Unit::PercentOfCore));
    let transactions = (after.transactions - before.transactions) as f64 / seconds;
    let per_second = |earlier: u64, later: u64| later.saturating_sub(earlier) as f64 / seconds;
    let pings = per_second(before.pings, after.pings);
    let redis = per_second(before.redis_reads + OWN, after.redis_reads);
    let commands = per_second(before.redis_commands + OWN, after.redis_commands);
    for (name, rate) in [
        ("PostgreSQL transactions", transactions),
        // Of a connection that rested: before it is used, it is asked whether it lives. That is no
        // transaction.
        ("PostgreSQL pings", pings),
        ("Redis round trips", redis),
        ("round trips, all together", transactions + pings + redis),
        ("Redis commands, scripts' own included", commands),
    ] {
        readings.push(Reading::new(name, rate, Unit::CallsPerSecond));
    }
    let described = readings.into_iter().map(|reading| {
        reading
            .with("seconds", seconds.round())
            .with("workers", 1)
            .with("worker_concurrency", CONCURRENCY)
    });
    described.collect()
}
