//! The faults: one line here and one arm for each.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use chrono::{DateTime, TimeDelta, Utc};
use unity_shared::ids::JobId;

use super::{
    super::{
        host::Host,
        http::Connection,
        orders::{TAKEN, batch_order, sleeping},
    },
    Report,
    count::{self, Limits},
    fleet::{Below, Fleet, LIMIT},
    load::{Asked, Load},
};

/// A fault under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drill {
    KillFifty,
    KillWorkers,
    KillAny,
    FreezeWorker,
    EmptyRedis,
    RestartRedis,
    StallRedis,
    RestartPostgres,
    StallPostgres,
    TwoSchedulers,
    LowerLimit,
}

/// Longer than any recovery that deserves the name.
const PATIENCE: Duration = Duration::from_mins(2);
/// A lease at the default settings, and what comes on top of it.
const LEASE: Duration = Duration::from_secs(6);
const FIFTY: u32 = 50;
/// Milliseconds: all fifty are seen running before the first ends.
const LONG_ENOUGH: u32 = 2000;
const STALL: Duration = Duration::from_secs(1);

impl Drill {
    pub(super) const ALL: [Self; 11] = [
        Self::KillFifty,
        Self::KillWorkers,
        Self::KillAny,
        Self::FreezeWorker,
        Self::EmptyRedis,
        Self::RestartRedis,
        Self::StallRedis,
        Self::RestartPostgres,
        Self::StallPostgres,
        Self::TwoSchedulers,
        Self::LowerLimit,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::KillFifty => "a worker is killed with 50 jobs in flight",
            Self::KillWorkers => "workers are killed",
            Self::KillAny => "workers, API and scheduler are killed at random",
            Self::FreezeWorker => "a worker is frozen past its lease",
            Self::EmptyRedis => "Redis is emptied",
            Self::RestartRedis => "Redis is killed and started again",
            Self::StallRedis => "Redis stands still for a second",
            Self::RestartPostgres => "PostgreSQL crashes and recovers",
            Self::StallPostgres => "PostgreSQL stands still for a second",
            Self::TwoSchedulers => "two schedulers lead by turns",
            Self::LowerLimit => "limits are lowered",
        }
    }

    /// Whether it takes servers away, which must not befall others.
    pub(super) const fn needs_own_servers(self) -> bool {
        match self {
            Self::RestartRedis | Self::StallRedis | Self::RestartPostgres | Self::StallPostgres => {
                true
            }
            Self::KillFifty
            | Self::KillWorkers
            | Self::KillAny
            | Self::FreezeWorker
            | Self::EmptyRedis
            | Self::TwoSchedulers
            | Self::LowerLimit => false,
        }
    }

    /// Lets it happen while `time` passes, and counts.
    pub(super) async fn run(self, fleet: &mut Fleet<'_>, time: Duration) -> Result<Report> {
        let host = Host::look();
        let since = count::now(&mut fleet.stack.owner).await?;
        let mut limits = Limits::of(LIMIT);
        let (asked, ended) = if self == Self::KillFifty {
            limits = Limits::of(FIFTY);
            fifty(fleet).await?
        } else {
            let load = Load::start(fleet.stack.api, &fleet.tenants);
            self.befall(fleet, time, &mut limits).await?;
            let ended = Instant::now();
            (load.stop().await?, ended)
        };
        fleet.until_idle(PATIENCE).await?;
        let seconds_to_recover = ended.elapsed().as_secs_f64();
        fleet.ready().await?;
        fleet.reconnect().await;
        let counted = count::look(&mut fleet.stack.owner, &asked.taken, since, &limits).await?;
        if matches!(self, Self::KillFifty | Self::LowerLimit) {
            let tenants = fleet.tenants.clone();
            fleet.stack.set_limits(&tenants, LIMIT).await?;
        }
        Ok(Report {
            scenario: "faults",
            drill: self.name(),
            counted,
            asked,
            seconds_to_recover,
            tenants: fleet.tenants.len(),
            debug_build: cfg!(debug_assertions),
            host,
        })
    }

    async fn befall(
        self,
        fleet: &mut Fleet<'_>,
        time: Duration,
        limits: &mut Limits,
    ) -> Result<()> {
        tokio::time::sleep(time / 2).await;
        match self {
            Self::KillFifty => {}
            Self::KillWorkers => {
                for worker in 0..fleet.workers.len() {
                    fleet.kill_worker(worker)?;
                    tokio::time::sleep(time / 4).await;
                }
            }
            Self::KillAny => {
                for _ in 0..4 {
                    match rand::random_range(0..4) {
                        0 => fleet.kill_part("api")?,
                        1 => fleet.kill_part("scheduler")?,
                        worker => fleet.kill_worker(worker - 2)?,
                    }
                    tokio::time::sleep(time / 4).await;
                }
            }
            Self::FreezeWorker => fleet.freeze_worker(0, LEASE + 2 * STALL).await?,
            Self::EmptyRedis => {
                let mut redis = fleet.stack.ground.redis().await?;
                redis.remove_keys(&fleet.stack.site.name).await?;
            }
            Self::RestartRedis => fleet.restart(Below::Redis)?,
            Self::StallRedis => fleet.stall(Below::Redis, STALL).await?,
            Self::RestartPostgres => fleet.restart(Below::PostgreSql)?,
            Self::StallPostgres => fleet.stall(Below::PostgreSql, STALL).await?,
            Self::TwoSchedulers => two_schedulers(fleet, time).await?,
            Self::LowerLimit => {
                let tenants = fleet.tenants.clone();
                fleet.stack.set_limits(&tenants, 1).await?;
                limits.lower(count::now(&mut fleet.stack.owner).await?, 1);
                // Long enough that jobs begin under the new limit alone.
                tokio::time::sleep(2 * STALL).await;
            }
        }
        tokio::time::sleep(time / 2).await;
        Ok(())
    }
}

/// A second one waits to lead, and leads when the first is killed, while a third starts.
async fn two_schedulers(fleet: &mut Fleet<'_>, time: Duration) -> Result<()> {
    let mut second = fleet.stack.another("scheduler")?;
    second.ready().await?;
    for _ in 0..2 {
        fleet.kill_part("scheduler")?;
        tokio::time::sleep(time / 2).await;
    }
    second.stop().await
}

/// Fifty jobs run on one worker when it is killed; another is there.
async fn fifty(fleet: &mut Fleet<'_>) -> Result<(Asked, Instant)> {
    let tenants = fleet.tenants.clone();
    fleet.stack.set_limits(&tenants, FIFTY).await?;
    // All on one worker: the other comes when they run.
    let spare = fleet.workers.pop().context("there is no second worker")?;
    spare.stop().await?;
    let tenant = tenants.first().context("there is no tenant")?;
    let mut connection = Connection::open(fleet.stack.api).await?;
    let mut asked = Asked::default();
    // In one order, so that they run at the same time however slow the machine is.
    let payload = sleeping(LONG_ENOUGH);
    let order = batch_order(tenant, &payload, usize::try_from(FIFTY)?);
    let answer = connection.ask(&order).await?;
    answer.expect(TAKEN)?;
    let body: serde_json::Value = serde_json::from_slice(answer.body)?;
    let jobs = body.get("items").and_then(serde_json::Value::as_array);
    let ids = jobs
        .into_iter()
        .flatten()
        .filter_map(|job| job.get("id")?.as_str()?.parse::<JobId>().ok());
    asked.taken.extend(ids);
    fleet.until_running(i64::from(FIFTY), PATIENCE).await?;
    let killed = Instant::now();
    fleet.kill_worker(0)?;
    let another = fleet.stack.worker(super::fleet::CONCURRENCY)?;
    fleet.workers.push(another);
    Ok((asked, killed))
}

/// How long after a limit was lowered a job may still begin that had its slot before.
pub(super) const IN_FLIGHT: TimeDelta = TimeDelta::milliseconds(1500);

/// The moment from which a lowered limit holds for every start.
pub(super) fn holds_from(lowered: DateTime<Utc>) -> DateTime<Utc> {
    lowered + IN_FLIGHT
}
