//! How often people can look how a job is doing: one tenant's ended job over 64 connections, and a
//! hundred tenants' over as many. And what the guards in front of the answer cost: the same read without
//! key, rate limit and tenant. For that both are served by this process, by turns: a process of its own
//! costs something too.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use unity_api::{ApiState, router, serve, unguarded_poll};

use super::{
    Bench, Tenants,
    enqueue::rotated,
    figure::{Reading, Unit},
    http::{Connection, Request},
    limits,
    load::{Load, Tally, WARM_UP_SHARE},
    orders::{TAKEN, no_op, order},
    processes, rows,
    served::{DRAIN, Served},
    stack::Stack,
};
use crate::process::{Connections, api_options};

const CONNECTIONS: usize = 64;
const TENANT_LIMIT: u32 = 100;
const CONCURRENCY: u32 = 10;

/// One ended job, asked for in both ways.
struct Poll {
    guarded: Request,
    unguarded: Request,
}

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let mut stack = Stack::start(bench).await?;
    let polls = ended_jobs(&mut stack, bench.count(Tenants::Many)).await?;
    let state = api_state(&stack).await?;
    let open = unguarded_poll(stack.database().await?);
    let guarded = Served::start(|at, shutdown| serve(at, router(state), shutdown, DRAIN)).await?;
    let unguarded = Served::start(|at, shutdown| serve(at, open, shutdown, DRAIN)).await?;
    let mut readings = Vec::new();
    for tenants in [Tenants::One, Tenants::Many] {
        let (name, count) = (bench.name(tenants), bench.count(tenants));
        let polls = polls.get(..count).unwrap_or_default();
        let questions: Vec<Request> = polls.iter().map(|poll| poll.guarded.clone()).collect();
        let open: Vec<Request> = polls.iter().map(|poll| poll.unguarded.clone()).collect();
        let before = processes::spent(&stack, &[]);
        let tally = ask(stack.api, &questions, bench.sizes.load).await?;
        let after = processes::spent(&stack, &[]);
        let mut of_case = readings_of(&name, &tally);
        // The warm-up is in what was spent.
        let time = bench.sizes.load + bench.sizes.load / WARM_UP_SHARE;
        let requests = tally.rate() * time.as_secs_f64();
        of_case.extend(processes::shares(&name, &before, &after, requests));
        let both = [(&guarded, &questions), (&unguarded, &open)];
        of_case.extend(guards(bench, &name, both).await?);
        readings.extend(of_case.into_iter().map(|reading| {
            reading
                .with("connections", CONNECTIONS)
                .with("tenants", count)
                .with("seconds", bench.sizes.load.as_secs_f64())
        }));
    }
    unguarded.end().await?;
    guarded.end().await?;
    stack.end().await?;
    Ok(readings)
}

/// Turns between with and without: what else the machine has to do changes within seconds, and must meet
/// both.
const TURNS: u32 = 10;

/// What the guards take of the rate.
async fn guards(
    bench: &Bench,
    name: &str,
    both: [(&Served, &Vec<Request>); 2],
) -> Result<[Reading; 3]> {
    let mut rates = [0.0; 2];
    for _ in 0..TURNS {
        for (rate, (server, questions)) in rates.iter_mut().zip(both) {
            let time = bench.sizes.load * 2 / TURNS;
            *rate += ask(server.address, questions, time).await?.rate() / f64::from(TURNS);
        }
    }
    let [with, without] = rates;
    let rate = |of: &str, rate| {
        let figure = format!("{name}, API in this process{of}");
        Reading::new(figure, rate, Unit::RequestsPerSecond)
    };
    let taken = (1.0 - with / without) * 100.0;
    let figure = format!("{name}, what the guards take");
    Ok([
        rate("", with),
        rate(" without guards", without),
        Reading::new(figure, taken, Unit::Percent),
    ])
}

async fn ask(address: SocketAddr, questions: &[Request], time: Duration) -> Result<Tally> {
    let load = Load {
        address,
        clients: rotated(questions, CONNECTIONS),
        expected: 200,
    };
    load.keep_up(time).await
}

fn readings_of(name: &str, tally: &Tally) -> Vec<Reading> {
    vec![
        Reading::new(name, tally.rate(), Unit::RequestsPerSecond).against(limits::ROUTE),
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
    ]
}

/// The API as its own process makes it.
async fn api_state(stack: &Stack<'_>) -> Result<ApiState> {
    let settings = stack.settings()?;
    let options = api_options(&settings)?;
    let Connections {
        database,
        gate,
        clock,
    } = Connections::open(&settings).await?;
    Ok(ApiState::new(database, gate, clock, &options))
}

/// One job for each tenant, ended.
async fn ended_jobs(stack: &mut Stack<'_>, count: usize) -> Result<Vec<Poll>> {
    let tenants = stack.tenants(count, TENANT_LIMIT).await?;
    let worker = stack.worker(CONCURRENCY)?;
    let mut connection = Connection::open(stack.api).await?;
    let mut polls = Vec::with_capacity(tenants.len());
    for tenant in &tenants {
        let answer = connection.ask(&order(tenant, &no_op())).await?;
        answer.expect(TAKEN)?;
        let job: Value = serde_json::from_slice(answer.body)?;
        let id = job
            .get("id")
            .and_then(Value::as_str)
            .context("the job has no id")?;
        polls.push(Poll {
            guarded: Request::get(&format!("/api/v1/jobs/{id}"), &tenant.key),
            unguarded: Request::get(&format!("/{}/{id}", tenant.id), ""),
        });
    }
    rows::until_all_ended(&mut stack.owner).await?;
    rows::outcome(&mut stack.owner, None)
        .await?
        .check(tenants.len())?;
    worker.stop().await?;
    Ok(polls)
}
