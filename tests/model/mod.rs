//! The engine against a small model, over random interleavings of everything that may happen to it.
//!
//! | file | what |
//! |---|---|
//! | `steps` | what may happen, and the generator |
//! | `world`, `worker` | the production code: record, gate, loops; workers without processes |
//! | `observe` | what can be seen after a step |
//! | `rules` | the small model: what must hold then |
//!
//! A failing case is shrunk to its fewest steps and printed with its seed. `UNITY_MODEL_CASES=N` runs
//! as many cases, from a seed of the moment; `UNITY_MODEL_SEED=N` sets the seed.

mod observe;
mod rules;
mod steps;
mod worker;
mod world;

use std::cell::Cell;

use chrono::{DateTime, TimeDelta, Utc};
use proptest::{
    collection::vec,
    prop_assert,
    test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner},
};
use sqlx::{Connection, PgConnection};
use unity_shared::{
    clock::Clock,
    ids::{JobId, TenantId},
    jobs::JobStatus,
};

use self::{
    observe::Sight,
    rules::Model,
    steps::{End, KINDS, Scope, Step, TENANTS, step},
    world::{Effects, LEASE, World},
};
use crate::harness::{Stack, StackOptions};

/// Cases of a usual test run: about 20 seconds.
const CASES: u32 = 30;
const SEED: u64 = 20_260_101;
/// Longest time to look for a shorter case that fails, in milliseconds.
const SHRINKING_MS: u32 = 30_000;
/// Steps of a case.
const STEPS: std::ops::Range<usize> = 1..100;
/// Rounds of a second or more after which a healthy engine has nothing left to do.
const ROUNDS: usize = 60;
/// Rounds in which a tenant whose jobs are due may get nothing: slots of workers that are gone last for
/// a lease and a little more.
const PATIENCE: usize = 22;

#[test]
fn no_interleaving_loses_a_job_exceeds_a_limit_or_leaks_a_slot() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().unwrap());
    let cases = number("UNITY_MODEL_CASES");
    let of_the_moment = || uuid::Uuid::now_v7().as_u64_pair().1;
    let seed = number("UNITY_MODEL_SEED").unwrap_or_else(|| {
        if cases.is_some() {
            of_the_moment()
        } else {
            SEED
        }
    });
    let config = Config {
        cases: cases.map_or(CASES, |cases| u32::try_from(cases).unwrap()),
        failure_persistence: None,
        max_shrink_iters: 300,
        max_shrink_time: SHRINKING_MS,
        ..Config::default()
    };
    println!("{} cases, UNITY_MODEL_SEED={seed}", config.cases);
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let stack = runtime.block_on(start());
    let (done, stepped) = (Cell::new(0_u32), Cell::new(0_usize));
    let outcome = TestRunner::new_with_rng(config, rng).run(&vec(step(), STEPS), |steps| {
        done.set(done.get() + 1);
        stepped.set(stepped.get() + steps.len());
        let outcome = runtime.block_on(run(&stack, &steps));
        if let Err(error) = &outcome {
            println!("{} steps: {error}", steps.len());
        }
        outcome
    });
    println!("{} cases of {} steps", done.get(), stepped.get());
    runtime.block_on(stack.stop());
    if let Err(TestError::Fail(why, steps)) = outcome {
        let steps: Vec<String> = steps.iter().map(|step| format!("{step:?}")).collect();
        panic!(
            "{why}\nseed {seed}, {} steps:\n{}",
            steps.len(),
            steps.join("\n")
        );
    }
}

async fn start() -> Stack {
    let start = DateTime::<Utc>::from_timestamp(1_900_000_000, 0).unwrap();
    let stack = Stack::start_with(StackOptions {
        lease: LEASE,
        clock: Clock::manual(start),
        ..StackOptions::still()
    })
    .await;
    let mut owner = stack.owner().await;
    for tenant in TENANTS {
        sqlx::query(
            "WITH made AS (
                 INSERT INTO tenants (id, uid, name, plan, created_at, updated_at)
                 VALUES ($1, gen_random_uuid(), $1, 'pro', now(), now()) RETURNING id)
             INSERT INTO event_counters (tenant_id) SELECT $1",
        )
        .bind(tenant)
        .execute(&mut owner)
        .await
        .unwrap();
    }
    stack
}

/// Nothing of the case before is left, but the time goes on.
async fn clear(stack: &Stack, owner: &mut PgConnection) {
    sqlx::raw_sql(
        "DELETE FROM events; DELETE FROM job_attempts; DELETE FROM jobs; DELETE FROM switches;
         UPDATE event_counters SET last_sequence = 0; UPDATE schedules SET enabled = false;
         UPDATE tenants SET max_concurrent = NULL, weight = NULL, version = version + 1, per_kind = '{}'",
    )
    .execute(owner)
    .await
    .unwrap();
    stack.wipe_redis().await;
    stack.clock.advance(TimeDelta::hours(1));
}

async fn run(stack: &Stack, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut owner = stack.owner().await;
    clear(stack, &mut owner).await;
    let mut world = World::new(stack).await;
    let mut model = Model::new();
    for (number, step) in steps.iter().enumerate() {
        take(
            &mut world,
            &mut model,
            &mut owner,
            std::slice::from_ref(step),
        )
        .await
        .map_err(|error| TestCaseError::fail(format!("step {number}: {error}")))?;
    }
    heal(&mut world, &mut model, &mut owner)
        .await
        .map_err(|error| TestCaseError::fail(format!("afterwards: {error}")))?;
    owner.close().await.unwrap();
    Ok(())
}

/// Takes steps, and looks once at what they have done together.
async fn take(
    world: &mut World<'_>,
    model: &mut Model,
    owner: &mut PgConnection,
    steps: &[Step],
) -> Result<(), TestCaseError> {
    let mut effects = Effects::default();
    for step in steps {
        effects.add(world.apply(step, &model.rows()).await);
        model.note_decision(step);
    }
    let pauses = pauses(world, owner).await;
    model.state_pauses(pauses);
    let sight = Sight::of(world, owner).await;
    model.follow(&effects, &sight)
}

/// The switches that are on, as their rows say.
async fn pauses(world: &World<'_>, owner: &mut PgConnection) -> Vec<(Scope, i64)> {
    let rows: Vec<(Option<String>, Option<String>, DateTime<Utc>)> = sqlx::query_as(
        "SELECT tenant_id, kind, expires_at FROM switches WHERE ended_at IS NULL AND expires_at > $1",
    )
    .bind(world.stack.clock.now())
    .fetch_all(owner)
    .await
    .unwrap();
    let place = |names: &[&str], name: Option<String>| {
        name.and_then(|name| names.iter().position(|known| *known == name))
    };
    let scopes = rows.into_iter().map(|(tenant, kind, until)| {
        let scope = Scope {
            tenant: place(&TENANTS, tenant),
            kind: place(&KINDS, kind),
        };
        (scope, until.timestamp_millis())
    });
    scopes.collect()
}

/// Everything is well again: workers live, limits let jobs through, time passes. Then every job ends,
/// of every tenant, and nothing of them is left in the gate.
async fn heal(
    world: &mut World<'_>,
    model: &mut Model,
    owner: &mut PgConnection,
) -> Result<(), TestCaseError> {
    let workers = 0..world.workers.len();
    let each = |step: fn(usize) -> Step| workers.clone().map(step).collect::<Vec<Step>>();
    let restart = [
        each(|worker| Step::Crash { worker }),
        each(|worker| Step::Replace { worker, kinds: 3 }),
        (0..TENANTS.len()).map(let_through).collect(),
    ];
    take(world, model, owner, &restart.concat()).await?;
    let mut unserved = [0; TENANTS.len()];
    for _ in 0..ROUNDS {
        let before = Sight::of(world, owner).await;
        take(
            world,
            model,
            owner,
            &[Step::ScanOrphans, Step::Tick { scheduler: 0 }],
        )
        .await?;
        let work = [
            each(|worker| Step::Beat {
                worker,
                redis: true,
            }),
            each(|worker| Step::Take { worker, most: 4 }),
        ];
        take(world, model, owner, &work.concat()).await?;
        let all_done: Vec<Step> = workers
            .clone()
            .flat_map(|worker| done(world, worker))
            .collect();
        take(world, model, owner, &all_done).await?;
        let sight = Sight::of(world, owner).await;
        if sight.rows.iter().all(|row| row.status.is_final()) && sight.traces().is_empty() {
            return Ok(());
        }
        for (index, rounds) in unserved.iter_mut().enumerate() {
            *rounds = if is_served(index, &before, &sight) || model.is_paused(index, &sight) {
                0
            } else {
                *rounds + 1
            };
            let name = TENANTS[index];
            prop_assert!(
                *rounds < PATIENCE,
                "{name} is passed over: {:#?}",
                sight.gate
            );
        }
        take(world, model, owner, &[Step::Pass { millis: 1_000 }]).await?;
    }
    let sight = Sight::of(world, owner).await;
    let left = sight.rows.iter().filter(|row| !row.status.is_final());
    let left: Vec<String> = left
        .map(|row| {
            format!(
                "{} of {} is {:?}",
                row.id,
                row.tenant,
                JobStatus::as_str(row.status)
            )
        })
        .collect();
    prop_assert!(
        left.is_empty(),
        "never ended: {left:#?}, gate: {:#?}",
        sight.gate
    );
    let traces = sight.traces();
    prop_assert!(traces.is_empty(), "left in the gate: {traces:#?}");
    Ok(())
}

/// Whether one of the tenant's jobs has begun or ended, or none is due.
fn is_served(index: usize, before: &Sight, after: &Sight) -> bool {
    let name: TenantId = TENANTS[index].parse().unwrap();
    let of = |sight: &Sight| -> Vec<(JobId, JobStatus, i64)> {
        let own = sight.rows.iter().filter(|row| row.tenant == name);
        own.map(|row| (row.id, row.status, row.fence)).collect()
    };
    let is_due = after
        .rows
        .iter()
        .any(|row| row.tenant == name && row.status == JobStatus::Queued);
    !is_due || of(before) != of(after)
}

fn let_through(tenant: usize) -> Step {
    Step::Limit {
        tenant,
        most: 2,
        of_probes: None,
        weight: 1,
        announced: true,
    }
}

/// Success for each job that a worker has.
fn done(world: &World<'_>, worker: usize) -> Vec<Step> {
    let finish = Step::Finish {
        worker,
        job: 0,
        end: End::Succeed,
        settled: true,
    };
    vec![finish; world.workers[worker].held.len()]
}
