//! How often people can look how a job is doing: one tenant's ended job over 64 connections, and a
//! hundred tenants' over as many.

use anyhow::{Context as _, Result};
use serde_json::Value;

use super::{
    Bench, Tenants,
    enqueue::rotated,
    figure::{Reading, Unit},
    http::{Connection, Request},
    limits,
    load::{Load, WARM_UP_SHARE},
    orders::{TAKEN, no_op, order},
    processes, rows,
    stack::Stack,
};

const CONNECTIONS: usize = 64;
const TENANT_LIMIT: u32 = 100;
const CONCURRENCY: u32 = 10;

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let mut stack = Stack::start(bench).await?;
    let questions = ended_jobs(&mut stack, bench.count(Tenants::Many)).await?;
    let mut readings = Vec::new();
    for tenants in [Tenants::One, Tenants::Many] {
        let (name, count) = (bench.name(tenants), bench.count(tenants));
        let questions = questions.get(..count).unwrap_or_default();
        let load = Load {
            address: stack.api,
            clients: rotated(questions, CONNECTIONS),
            expected: 200,
        };
        let before = processes::spent(&stack, &[]);
        let tally = load.keep_up(bench.sizes.load).await?;
        let after = processes::spent(&stack, &[]);
        let mut of_case = vec![
            Reading::new(name.clone(), tally.rate(), Unit::RequestsPerSecond)
                .against(limits::ROUTE),
            Reading::new(
                format!("{name}, p50"),
                tally.percentile(0.5),
                Unit::Milliseconds,
            ),
            Reading::new(
                format!("{name}, p99"),
                tally.percentile(0.99),
                Unit::Milliseconds,
            ),
        ];
        // The warm-up is in what was spent.
        let time = bench.sizes.load + bench.sizes.load / WARM_UP_SHARE;
        let requests = tally.rate() * time.as_secs_f64();
        of_case.extend(processes::shares(&name, &before, &after, requests));
        readings.extend(of_case.into_iter().map(|reading| {
            reading
                .with("connections", CONNECTIONS)
                .with("tenants", count)
                .with("seconds", bench.sizes.load.as_secs_f64())
        }));
    }
    stack.end().await?;
    Ok(readings)
}

/// One job for each tenant, ended, as the question how it is doing.
async fn ended_jobs(stack: &mut Stack<'_>, count: usize) -> Result<Vec<Request>> {
    let tenants = stack.tenants(count, TENANT_LIMIT).await?;
    let worker = stack.worker(CONCURRENCY)?;
    let mut connection = Connection::open(stack.api).await?;
    let mut questions = Vec::with_capacity(tenants.len());
    for tenant in &tenants {
        let answer = connection.ask(&order(tenant, &no_op())).await?;
        answer.expect(TAKEN)?;
        let job: Value = serde_json::from_slice(answer.body)?;
        let id = job
            .get("id")
            .and_then(Value::as_str)
            .context("the job has no id")?;
        questions.push(Request::get(&format!("/api/v1/jobs/{id}"), &tenant.key));
    }
    rows::until_all_ended(&mut stack.owner).await?;
    rows::outcome(&mut stack.owner, None)
        .await?
        .check(tenants.len())?;
    worker.stop().await?;
    Ok(questions)
}
