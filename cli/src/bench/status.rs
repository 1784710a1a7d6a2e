//! How often people can look how a job is doing: one tenant's ended job over 64 connections, and a
//! hundred tenants' over as many. And what the guards in front of the answer cost: the same read without
//! key, rate limit and tenant, in the same run.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use unity_api::{ServeError, serve, unguarded_poll};

use super::{
    Bench, Tenants,
    enqueue::rotated,
    figure::{Reading, Unit},
    http::{Connection, Request},
    limits,
    load::{Load, Tally, WARM_UP_SHARE},
    orders::{TAKEN, no_op, order},
    processes, rows,
    stack::Stack,
};

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
    let open = Unguarded::start(&stack).await?;
    let mut readings = Vec::new();
    for tenants in [Tenants::One, Tenants::Many] {
        let (name, count) = (bench.name(tenants), bench.count(tenants));
        let polls = polls.get(..count).unwrap_or_default();
        let guarded: Vec<Request> = polls.iter().map(|poll| poll.guarded.clone()).collect();
        let unguarded: Vec<Request> = polls.iter().map(|poll| poll.unguarded.clone()).collect();
        let before = processes::spent(&stack, &[]);
        let tally = ask(bench, stack.api, &guarded).await?;
        let after = processes::spent(&stack, &[]);
        let without = ask(bench, open.address, &unguarded).await?;
        let mut of_case = readings_of(&name, &tally);
        // The warm-up is in what was spent.
        let time = bench.sizes.load + bench.sizes.load / WARM_UP_SHARE;
        let requests = tally.rate() * time.as_secs_f64();
        of_case.extend(processes::shares(&name, &before, &after, requests));
        of_case.extend(readings_of(&format!("{name}, unguarded"), &without));
        of_case.push(Reading::new(
            format!("{name}, what the guards take"),
            (1.0 - tally.rate() / without.rate()) * 100.0,
            Unit::Percent,
        ));
        readings.extend(of_case.into_iter().map(|reading| {
            reading
                .with("connections", CONNECTIONS)
                .with("tenants", count)
                .with("seconds", bench.sizes.load.as_secs_f64())
        }));
    }
    open.end().await?;
    stack.end().await?;
    Ok(readings)
}

async fn ask(bench: &Bench, address: SocketAddr, questions: &[Request]) -> Result<Tally> {
    let load = Load {
        address,
        clients: rotated(questions, CONNECTIONS),
        expected: 200,
    };
    load.keep_up(bench.sizes.load).await
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

/// The read without its guards, served by this process: nothing that serves a fleet can do it.
struct Unguarded {
    address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

impl Unguarded {
    async fn start(stack: &Stack<'_>) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let router = unguarded_poll(stack.database().await?);
        let drain = Duration::from_secs(1);
        let serving = tokio::spawn(serve(listener, router, shutdown.clone(), drain));
        Ok(Self {
            address,
            shutdown,
            serving,
        })
    }

    async fn end(self) -> Result<()> {
        self.shutdown.cancel();
        let served = self.serving.await?;
        served.context("the read without guards stopped answering")
    }
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
