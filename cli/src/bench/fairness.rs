//! How long the few jobs of a quiet tenant take behind thousands of another's, on a fleet that runs
//! ten at once: all waiting before a worker starts, and ordered while the flood is being drained.

use anyhow::{Context as _, Result};

use super::{
    Bench,
    figure::{Reading, Unit},
    http::Connection,
    limits,
    orders::{TAKEN, batch_order, sleeping},
    rows,
    stack::Stack,
    tenants::Tenant,
};

const CONCURRENCY: u32 = 10;
const TENANT_LIMIT: u32 = 100;
const JOB_MS: u32 = 5;
const FEW: usize = 10;
/// Of the jobs that a drain takes.
const FLOOD_SHARE: usize = 4;
/// Of the flood has ended when the few are ordered, in the second variant.
const UNDER_WAY_SHARE: usize = 10;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let flood = bench.sizes.jobs / FLOOD_SHARE;
    let waiting = all_waiting(bench, flood).await?;
    let under_way = under_way(bench, flood).await?;
    let readings = [
        Reading::new(
            "all waiting before the worker starts",
            waiting,
            Unit::Seconds,
        )
        .against(limits::ALONE),
        Reading::new("ordered while the flood drains", under_way, Unit::Seconds),
    ];
    let described = readings.into_iter().map(|reading| {
        reading
            .with("flood", flood)
            .with("few", FEW)
            .with("job_ms", JOB_MS)
            .with("worker_concurrency", CONCURRENCY)
            .with("tenant_limit", TENANT_LIMIT)
    });
    Ok(described.collect())
}

/// From the first start to the end of the quiet tenant's last job.
async fn all_waiting(bench: &Bench, flood: usize) -> Result<f64> {
    let mut stack = Stack::start(bench).await?;
    let [noisy, quiet] = two(&mut stack).await?;
    let payload = sleeping(JOB_MS);
    stack
        .enqueue(std::slice::from_ref(&noisy), flood, &payload)
        .await?;
    stack
        .enqueue(std::slice::from_ref(&quiet), FEW, &payload)
        .await?;
    let worker = stack.worker(CONCURRENCY)?;
    rows::until_all_ended(&mut stack.owner).await?;
    let all = rows::outcome(&mut stack.owner, None).await?;
    all.check(flood + FEW)?;
    let few = rows::outcome(&mut stack.owner, Some(&quiet.id)).await?;
    worker.stop().await?;
    stack.end().await?;
    Ok(rows::seconds(few.last_end - all.first_start))
}

/// From the 202 of the quiet tenant's batch to the end of its last job.
async fn under_way(bench: &Bench, flood: usize) -> Result<f64> {
    let mut stack = Stack::start(bench).await?;
    let [noisy, quiet] = two(&mut stack).await?;
    stack
        .enqueue(std::slice::from_ref(&noisy), flood, &sleeping(JOB_MS))
        .await?;
    let provisioned = rows::events(&mut stack.owner).await?;
    let worker = stack.worker(CONCURRENCY)?;
    let enough = i64::try_from(flood / UNDER_WAY_SHARE)?;
    rows::until_events(&mut stack.owner, provisioned + enough).await?;
    let (clock, _) = rows::database_clock(&mut stack.owner).await?;
    let mut connection = Connection::open(stack.api).await?;
    let request = batch_order(&quiet, &sleeping(JOB_MS), FEW);
    connection.ask(&request).await?.expect(TAKEN)?;
    let ordered = clock.now();
    let before = rows::count_ended(&mut stack.owner, &noisy.id).await?;
    rows::until_all_ended(&mut stack.owner).await?;
    rows::outcome(&mut stack.owner, None)
        .await?
        .check(flood + FEW)?;
    let few = rows::outcome(&mut stack.owner, Some(&quiet.id)).await?;
    worker.stop().await?;
    stack.end().await?;
    anyhow::ensure!(
        before < i64::try_from(flood)?,
        "the flood was over before the few were ordered"
    );
    Ok(rows::seconds(few.last_end - ordered))
}

async fn two(stack: &mut Stack<'_>) -> Result<[Tenant; 2]> {
    let tenants = stack.tenants(2, TENANT_LIMIT).await?;
    let two: Result<[Tenant; 2], _> = tenants.try_into();
    two.ok().context("two tenants were to be made")
}
