//! Whether a job costs more when more wait, and when more tenants wait: the rate over the next ten or
//! twenty thousand jobs of a backlog that is written straight into the rows, as a dead Redis would leave it,
//! and offered by the scheduler.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::{
    Bench,
    backlog::{self, Backlog},
    figure::{Reading, Unit},
    orders::no_op,
    processes, rows, say,
    stack::Stack,
};

/// Of the jobs that a drain takes: what is drained behind a growing backlog.
const NEXT_SHARE: usize = 2;
/// Waiting jobs, as multiples of a twentieth of what a drain takes.
const BACKLOGS: [usize; 3] = [1, 10, 100];
const FULL_BACKLOG: usize = 1000;
const BACKLOG_SHARE: usize = 20;
const TENANTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// Of the jobs that a drain takes, what each of the most tenants has waiting: about as much as a turn gives.
/// Fewer tenants share as many. With less for each, nearly every job takes a turn of its own, which is
/// measured besides.
const EACH_SHARE: usize = 1000;
const TENANT_LIMIT: u32 = 1000;
const PATIENCE: Duration = Duration::from_mins(5);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let jobs = bench.sizes.jobs;
    let mut readings = Vec::new();
    let full = bench.full.then_some(FULL_BACKLOG);
    for times in BACKLOGS.into_iter().chain(full) {
        let backlog = Backlog {
            jobs: jobs / BACKLOG_SHARE * times,
            tenants: 1,
        };
        let name = format!("{} waiting jobs", backlog.jobs);
        let next = (jobs / NEXT_SHARE).min(backlog.jobs);
        readings.extend(measure(bench, &backlog, next, &name).await?);
    }
    let most = TENANTS.into_iter().max().unwrap_or(1);
    let waiting = jobs.max(most * (jobs / EACH_SHARE).max(1));
    for tenants in TENANTS {
        let backlog = Backlog {
            jobs: waiting,
            tenants,
        };
        let name = match tenants {
            1 => "1 tenant".to_owned(),
            many => format!("{many} tenants"),
        };
        readings.extend(measure(bench, &backlog, jobs, &name).await?);
    }
    let backlog = Backlog {
        jobs: jobs.max(most),
        tenants: most,
    };
    let name = format!("{most} tenants of few jobs");
    readings.extend(measure(bench, &backlog, jobs, &name).await?);
    Ok(readings)
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
async fn measure(
    bench: &Bench,
    backlog: &Backlog,
    next: usize,
    name: &str,
) -> Result<Vec<Reading>> {
    if !bench.wants(name) {
        return Ok(Vec::new());
    }
    say(&format!("growth: {name}"));
    let mut stack = Stack::start(bench).await?;
    let tenants = stack.tenants(1, TENANT_LIMIT).await?;
    stack.enqueue(&tenants, 1, &no_op()).await?;
    backlog::write(&mut stack.owner, backlog).await?;
    let refill = refill(&stack, backlog.jobs).await?;

    let before = rows::events(&mut stack.owner).await?;
    let spent = processes::spent(&stack, &[]);
    let worker = stack.worker(bench.concurrency)?;
    let wanted = i64::try_from(next)?;
    let done = rows::until_events(&mut stack.owner, before + wanted).await? - before;
    let spent_then = processes::spent(&stack, &[&worker]);
    // What is left of the backlog goes with the database.
    drop(worker);
    let seconds = rows::seconds_to_end(&mut stack.owner, wanted).await?;
    stack.end().await?;
    let shares = processes::shares(name, &spent, &spent_then, done as f64);
    Ok(readings(
        bench,
        backlog,
        next,
        name,
        (seconds, refill),
        shares,
    ))
}

/// Empties the gate and waits until the scheduler has filled it anew from the rows; answers how long
/// that took by its own account, in seconds.
async fn refill(stack: &Stack<'_>, waiting: usize) -> Result<f64> {
    stack
        .ground
        .redis()
        .await?
        .remove_keys(&stack.site.name)
        .await?;
    let scheduler = stack.part("scheduler")?;
    let begun = Instant::now();
    loop {
        let log = scheduler.log();
        if let Some(seconds) = log.lines().rev().find_map(|line| refilled(line, waiting)) {
            return Ok(seconds);
        }
        if begun.elapsed() > PATIENCE {
            bail!("the gate is not refilled within {PATIENCE:?}: {log}");
        }
        tokio::time::sleep(rows::POLL * 10).await;
    }
}

/// The time of a refill of at least so many jobs, if the line tells of one.
fn refilled(line: &str, waiting: usize) -> Option<f64> {
    let entry: Value = serde_json::from_str(line).ok()?;
    let found = entry.get("waiting")?.as_u64()?;
    let enough = usize::try_from(found).is_ok_and(|found| found >= waiting);
    enough.then(|| entry.get("seconds")?.as_f64()).flatten()
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
fn readings(
    bench: &Bench,
    backlog: &Backlog,
    next: usize,
    name: &str,
    (seconds, refill): (f64, f64),
    shares: Vec<Reading>,
) -> Vec<Reading> {
    let readings = [
        Reading::new(name, next as f64 / seconds, Unit::JobsPerSecond),
        Reading::new(format!("{name}, refill of the gate"), refill, Unit::Seconds),
    ];
    let described = readings.into_iter().chain(shares).map(|reading| {
        reading
            .with("waiting", backlog.jobs)
            .with("tenants", backlog.tenants)
            .with("drained", next)
            .with("worker_concurrency", bench.concurrency)
            .with("tenant_limit", TENANT_LIMIT)
    });
    described.collect()
}
