//! How fast one worker process carries out jobs that wait already and do nothing: of one tenant, and
//! of a hundred. Each must have run exactly once.

use std::time::Instant;

use anyhow::Result;

use super::{
    Bench, Tenants,
    figure::{Reading, Unit},
    limits,
    orders::no_op,
    processes, rows,
    stack::Stack,
};

/// Tenants, and into how many parts the worker's places are divided to give what each of them may run at once:
/// together more than the worker can where they are many.
const CASES: [(Tenants, u32); 2] = [(Tenants::One, 1), (Tenants::Many, 50)];

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let mut readings = Vec::new();
    for (tenants, parts) in CASES {
        if !bench.wants(&bench.name(tenants)) {
            continue;
        }
        readings.extend(measure(bench, tenants, bench.concurrency / parts).await?);
    }
    Ok(readings)
}

#[expect(clippy::cast_precision_loss, reason = "a count of jobs")]
async fn measure(bench: &Bench, tenants: Tenants, limit: u32) -> Result<Vec<Reading>> {
    let (name, count, jobs) = (bench.name(tenants), bench.count(tenants), bench.sizes.jobs);
    let mut stack = Stack::start(bench).await?;
    let tenants = stack.tenants(count, limit).await?;
    stack.enqueue(&tenants, jobs, &no_op()).await?;
    let (clock, _) = rows::database_clock(&mut stack.owner).await?;

    let started = Instant::now();
    let before = processes::spent(&stack, &[]);
    let worker = stack.worker(bench.concurrency)?;
    rows::until_all_ended(&mut stack.owner).await?;
    let (wall, seen) = (started.elapsed(), clock.now());
    let after = processes::spent(&stack, &[&worker]);

    let outcome = rows::outcome(&mut stack.owner, None).await?;
    outcome.check(jobs)?;
    let seconds = rows::seconds(seen - outcome.first_start);
    worker.stop().await?;
    stack.end().await?;
    let mut readings = vec![
        Reading::new(name.clone(), jobs as f64 / seconds, Unit::JobsPerSecond)
            .against(limits::SCRIPTS),
        Reading::new(
            format!("{name}, from the worker's start"),
            wall.as_secs_f64(),
            Unit::Seconds,
        ),
    ];
    readings.extend(processes::shares(&name, &before, &after, jobs as f64));
    let described = readings.into_iter().map(|reading| {
        reading
            .with("jobs", jobs)
            .with("tenants", count)
            .with("tenant_limit", limit)
            .with("worker_concurrency", bench.concurrency)
    });
    Ok(described.collect())
}
