//! The production side: the record, the gate and the scheduler's loops as they are, workers without
//! processes, and the clock in the test's hand.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use redis::AsyncCommands;
use serde_json::json;
use unity_scheduler::{Context, Cursors, run_all_once};
use unity_shared::{
    ids::{JobId, SwitchId, TenantId, WorkerId},
    jobs::{
        ClaimedJob, JobStatus, NewJob, Switch, SwitchAction, SwitchScope, SwitchSet, cancel_jobs,
        end_switch, enqueue_jobs, insert_switch, kinds::find_kind, revive_jobs,
    },
    queue::announce_switches,
    tenancy::{JobLimits, LimitsAt, OwnJobLimits, Plan, update_job_limits},
};

use super::{
    observe::Row,
    steps::{KINDS, Order, Pick, Scope, Step, TENANTS, WORKERS},
    worker::{HandedIn, Worker},
};
use crate::harness::Stack;

/// Long enough that the epoch, whose life Redis measures itself, outlives a case on a slow machine.
pub const LEASE: Duration = Duration::from_secs(15);
/// The queue of both kinds.
pub const QUEUE: &str = "default";
const SECOND: TimeDelta = TimeDelta::seconds(1);

/// What steps did besides what can be read afterwards.
#[derive(Default)]
pub struct Effects {
    pub claimed: Vec<ClaimedJob>,
    pub handed_in: Vec<HandedIn>,
    /// Tenants whose limits the gate knows now as the rows have them.
    pub announced_limits: BTreeSet<usize>,
    /// The gate knows the rows' switches now.
    pub announced_switches: bool,
}

impl Effects {
    /// Adds those of the next step.
    pub fn add(&mut self, other: Self) {
        let Self {
            claimed,
            handed_in,
            announced_limits,
            announced_switches,
        } = other;
        self.claimed.extend(claimed);
        self.handed_in.extend(handed_in);
        self.announced_limits.extend(announced_limits);
        self.announced_switches |= announced_switches;
    }
}

/// Everything that a case changes.
pub struct World<'a> {
    pub stack: &'a Stack,
    pub workers: Vec<Worker>,
    schedulers: [Context; 2],
    switches: Vec<SwitchId>,
    /// Processes that are gone; apalis-redis may still know what they had fetched.
    gone: Vec<WorkerId>,
    /// When the epoch ends unless somebody keeps it alive.
    epoch_until: DateTime<Utc>,
    /// Whether Redis lost a key.
    pub lost_keys: bool,
}

pub fn tenant(index: usize) -> TenantId {
    TENANTS[index % TENANTS.len()].parse().unwrap()
}

impl<'a> World<'a> {
    /// An empty world with its workers.
    pub async fn new(stack: &'a Stack) -> Self {
        let context = || Context {
            cursors: Cursors::default(),
            ..stack.context()
        };
        let mut world = Self {
            stack,
            workers: Vec::new(),
            schedulers: [context(), context()],
            switches: Vec::new(),
            gone: Vec::new(),
            epoch_until: stack.clock.now(),
            lost_keys: false,
        };
        world.tick(0).await;
        for kinds in [3, 1, 3].iter().cycle().take(WORKERS) {
            world.workers.push(Worker::start(stack, *kinds).await);
        }
        world
    }

    /// Takes a step. `rows` are the jobs as they are before it.
    #[expect(clippy::too_many_lines, reason = "an arm for each step")]
    pub async fn apply(&mut self, step: &Step, rows: &[Row]) -> Effects {
        let stack = self.stack;
        let mut effects = Effects::default();
        match step {
            Step::Enqueue(order) => self.enqueue(order).await,
            Step::Fetch { worker, most } => self.workers[*worker].fetch(stack, *most).await,
            Step::ClaimInGate { worker } => self.workers[*worker].claim_in_gate(stack).await,
            Step::ClaimRows { worker } => {
                effects.claimed = self.workers[*worker].claim_rows(stack).await;
            }
            Step::Take { worker, most } => {
                let worker = &mut self.workers[*worker];
                worker.fetch(stack, *most).await;
                worker.claim_in_gate(stack).await;
                effects.claimed = worker.claim_rows(stack).await;
            }
            Step::Finish {
                worker,
                job,
                end,
                settled,
            } => {
                let worker = &mut self.workers[*worker];
                effects
                    .handed_in
                    .extend(worker.finish(stack, usize::from(*job), *end).await);
                if *settled {
                    worker.settle(stack).await;
                }
            }
            Step::Settle { worker } => self.workers[*worker].settle(stack).await,
            Step::Beat { worker, redis } => self.beat(*worker, *redis, &mut effects).await,
            Step::Freeze { worker, millis } => {
                self.freeze(*worker, *millis, &mut effects).await;
            }
            Step::Overtake {
                worker,
                order,
                wiped,
            } => self.overtake(*worker, order, *wiped, &mut effects).await,
            Step::Crash { worker } => self.crash(*worker).await,
            Step::Replace { worker, kinds } => self.replace(*worker, *kinds, &mut effects).await,
            Step::ScanOrphans => self.scan_orphans().await,
            Step::Tick { scheduler } => self.tick_for(*scheduler, &mut effects).await,
            Step::Pass { millis } => self.pass(*millis, &mut effects).await,
            Step::Cancel { job, gate_told } => self.cancel(*job, *gate_told, rows).await,
            Step::Revive { job, offered } => self.revive(*job, *offered, rows).await,
            Step::Limit {
                tenant,
                most,
                of_probes,
                weight,
                announced,
            } => {
                let own = limits(*most, *of_probes, *weight);
                self.limit(*tenant, &own, *announced).await;
                effects
                    .announced_limits
                    .extend(announced.then_some(*tenant));
            }
            Step::LateLimits { tenant, most } => self.announce_late(*tenant, *most).await,
            Step::LateSwitches => {
                let none = SwitchSet {
                    version: -1,
                    switches: Vec::new(),
                };
                stack.gate.set_switches(&none).await.unwrap();
            }
            Step::Lose { key } => {
                self.lose(*key).await;
                self.tick_for(0, &mut effects).await;
            }
            Step::ForkEpoch => {
                let mut owner = stack.owner().await;
                sqlx::query("UPDATE gate_epochs SET epoch = epoch + 3")
                    .execute(&mut owner)
                    .await
                    .unwrap();
                self.tick_for(0, &mut effects).await;
            }
            Step::Pause {
                scope,
                seconds,
                announced,
            } => {
                self.pause(*scope, *seconds).await;
                effects.announced_switches = self.announce_if(*announced).await;
            }
            Step::Unpause { switch, announced } => {
                self.unpause(*switch).await;
                effects.announced_switches = self.announce_if(*announced).await;
            }
            Step::Wipe { refilled } => {
                stack.wipe_redis().await;
                if *refilled {
                    self.tick_for(0, &mut effects).await;
                }
            }
            Step::Close => self.close().await,
        }
        effects
    }

    async fn replace(&mut self, worker: usize, kinds: u8, effects: &mut Effects) {
        effects.handed_in = self.workers[worker].stop(self.stack).await;
        self.workers[worker] = Worker::start(self.stack, kinds).await;
        self.keeps_epoch();
    }

    async fn tick(&mut self, scheduler: usize) {
        run_all_once(&self.schedulers[scheduler]).await.unwrap();
        self.keeps_epoch();
    }

    async fn tick_for(&mut self, scheduler: usize, effects: &mut Effects) {
        self.tick(scheduler).await;
        effects.announced_limits.extend(0..TENANTS.len());
        effects.announced_switches = true;
    }

    /// Heartbeats and the scheduler keep the epoch alive for a lease.
    fn keeps_epoch(&mut self) {
        self.epoch_until = self.stack.clock.now() + LEASE;
    }

    /// A worker that does not reach Redis is looked after by the scheduler, which looks each second.
    async fn beat(&mut self, worker: usize, redis: bool, effects: &mut Effects) {
        self.workers[worker].beat(self.stack, redis).await;
        if redis {
            self.keeps_epoch();
        } else {
            self.tick_for(0, effects).await;
        }
    }

    async fn pass(&mut self, millis: i64, effects: &mut Effects) {
        let mut left = TimeDelta::milliseconds(millis);
        while left > TimeDelta::zero() {
            let cut_off = self.workers.iter().any(|worker| worker.cut_off);
            let piece = if cut_off { left.min(SECOND) } else { left };
            self.stack.clock.advance(piece);
            left -= piece;
            if self.stack.clock.now() >= self.epoch_until {
                // Redis does it by its own clock, which the test cannot move.
                self.close().await;
            }
            if cut_off {
                self.tick_for(0, effects).await;
            }
        }
    }

    async fn freeze(&mut self, frozen: usize, millis: i64, effects: &mut Effects) {
        let beat = i64::try_from(LEASE.as_millis()).unwrap() / 3;
        let mut left = millis;
        while left > 0 {
            self.pass(left.min(beat), effects).await;
            left -= beat;
            for worker in (0..self.workers.len()).filter(|worker| *worker != frozen) {
                self.beat(worker, true, effects).await;
            }
        }
    }

    async fn overtake(&mut self, slow: usize, order: &Order, wiped: bool, effects: &mut Effects) {
        let stack = self.stack;
        self.workers[slow].fetch(stack, 4).await;
        self.workers[slow].claim_in_gate(stack).await;
        let first = Order {
            priority: 9,
            delay_seconds: 0,
            offered: false,
            ..order.clone()
        };
        self.enqueue(&first).await;
        if wiped {
            stack.wipe_redis().await;
        } else {
            let lease = i64::try_from(LEASE.as_millis()).unwrap();
            self.freeze(slow, lease + 1, effects).await;
        }
        self.tick_for(0, effects).await;
        let quick = (slow + 1) % WORKERS;
        self.workers[quick].fetch(stack, 4).await;
        self.workers[quick].claim_in_gate(stack).await;
        for worker in [quick, slow] {
            let claimed = self.workers[worker].claim_rows(stack).await;
            effects.claimed.extend(claimed);
        }
    }

    async fn enqueue(&self, order: &Order) {
        let (now, tenant) = (self.stack.clock.now(), tenant(order.tenant));
        let kind = find_kind(KINDS[order.kind]).unwrap();
        let mut job = NewJob::new(kind, &json!({}), now).unwrap();
        job.priority = order.priority;
        job.run_at = now + TimeDelta::seconds(order.delay_seconds);
        job.expires_at = order
            .expires_seconds
            .map(|seconds| now + TimeDelta::seconds(seconds));
        job.max_attempts = order.max_attempts;
        if let Some(key) = order.key {
            job.resource_key = Some(format!("key-{key}"));
        }
        let mut tx = self.stack.database.tenant(&tenant).await.unwrap();
        let enqueued = enqueue_jobs(&mut tx, std::slice::from_ref(&job), now)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        assert_eq!(enqueued.written.len(), 1);
        if order.offered {
            let gate = &self.stack.gate;
            let gone: Vec<JobId> = enqueued.superseded.iter().map(|(_, id)| *id).collect();
            gate.forget(&gone).await.unwrap();
            if job.first_status(now) == JobStatus::Queued {
                gate.offer(&[job.offer(&tenant)]).await.unwrap();
            }
        }
    }

    async fn crash(&mut self, worker: usize) {
        let kinds = KINDS
            .iter()
            .enumerate()
            .filter(|(_, kind)| self.workers[worker].kinds.contains(kind))
            .fold(0, |bits, (bit, _)| bits | 1 << bit);
        self.gone.push(self.workers[worker].id);
        self.workers[worker] = Worker::start(self.stack, kinds).await;
        self.keeps_epoch();
    }

    async fn scan_orphans(&mut self) {
        let silent_since = self.stack.clock.now() - LEASE;
        let silent = self
            .workers
            .iter()
            .filter(|worker| worker.last_beat <= silent_since);
        let silent: Vec<WorkerId> = silent.map(|worker| worker.id).collect();
        let keys = self.stack.gate.ready_queue(QUEUE);
        let mut redis = self.stack.gate.connection();
        for worker in self.gone.drain(..).chain(silent) {
            let name = worker.to_string();
            let ids: Vec<String> = redis.smembers(keys.inflight(&name)).await.unwrap();
            if !ids.is_empty() {
                let _: i64 = redis.rpush(keys.active(), ids).await.unwrap();
                let _: i64 = redis.del(keys.inflight(&name)).await.unwrap();
            }
            let _: i64 = redis.zrem(keys.workers(), &name).await.unwrap();
        }
    }

    async fn cancel(&self, job: Pick, gate_told: bool, rows: &[Row]) {
        let Some(row) = pick(rows, job, |row| !row.status.is_final()) else {
            return;
        };
        let mut tx = self.stack.database.tenant(&row.tenant).await.unwrap();
        let cancelled = cancel_jobs(&mut tx, &[row.id], self.stack.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        if gate_told {
            let ended = cancelled.iter().filter(|(_, status)| status.is_final());
            let ended: Vec<JobId> = ended.map(|(id, _)| *id).collect();
            self.stack.gate.forget(&ended).await.unwrap();
        }
    }

    async fn revive(&self, job: Pick, offered: bool, rows: &[Row]) {
        let may = [JobStatus::Failed, JobStatus::Cancelled, JobStatus::Retrying];
        let Some(row) = pick(rows, job, |row| may.contains(&row.status)) else {
            return;
        };
        let mut tx = self.stack.database.tenant(&row.tenant).await.unwrap();
        let offers = revive_jobs(&mut tx, &[row.id], self.stack.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        if offered {
            self.stack.gate.offer(&offers).await.unwrap();
        }
    }

    /// Removes one of the keys of the gate; those of apalis-redis stay.
    async fn lose(&mut self, key: Pick) {
        self.lost_keys = true;
        let prefix = self.prefix();
        let mut redis = self.stack.gate.connection();
        let mut keys: Vec<String> = redis.keys(format!("{prefix}*")).await.unwrap();
        keys.retain(|key| !key.contains(":queue:"));
        keys.sort();
        if let Some(key) = keys.get(usize::from(key) % keys.len().max(1)) {
            let _: i64 = redis.del(key).await.unwrap();
        }
    }

    /// Limits that were read before the latest were written.
    async fn announce_late(&self, who: usize, most: u32) {
        let late = LimitsAt {
            tenant_id: tenant(who),
            version: 0,
            limits: limits(0, None, 1).or(Plan::Pro),
        };
        let late = LimitsAt {
            limits: JobLimits {
                max_concurrent: most,
                ..late.limits
            },
            ..late
        };
        self.stack.gate.set_limits(&[late]).await.unwrap();
    }

    pub async fn limit(&self, who: usize, own: &OwnJobLimits, announced: bool) {
        let (tenant, now) = (tenant(who), self.stack.clock.now());
        let mut tx = self.stack.database.operator().begin().await.unwrap();
        let (limits, _) = update_job_limits(&mut tx, &tenant, own, now)
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
        if announced {
            self.stack.gate.set_limits(&[limits]).await.unwrap();
        }
    }

    async fn pause(&mut self, scope: Scope, seconds: i64) {
        let now = self.stack.clock.now();
        let switch = Switch {
            id: SwitchId::new(),
            scope: SwitchScope {
                tenant: scope.tenant.map(tenant),
                kind: scope.kind.map(|kind| KINDS[kind].to_owned()),
            },
            action: SwitchAction::Pause,
            reason: "the model said so".to_owned(),
            created_at: now,
            expires_at: now + TimeDelta::seconds(seconds),
        };
        let mut tx = self.stack.database.operator().begin().await.unwrap();
        insert_switch(&mut tx, &switch).await.unwrap();
        tx.commit().await.unwrap();
        self.switches.push(switch.id);
    }

    async fn unpause(&mut self, switch: Pick) {
        if self.switches.is_empty() {
            return;
        }
        let at = usize::from(switch) % self.switches.len();
        let id = self.switches.swap_remove(at);
        let mut tx = self.stack.database.operator().begin().await.unwrap();
        end_switch(&mut tx, id, self.stack.clock.now())
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn announce_if(&self, announced: bool) -> bool {
        if announced {
            let now = self.stack.clock.now();
            announce_switches(&self.stack.database, &self.stack.gate, now)
                .await
                .unwrap();
        }
        announced
    }

    async fn close(&self) {
        let epoch = format!("{}epoch", self.prefix());
        let _: i64 = self.stack.gate.connection().del(epoch).await.unwrap();
    }

    /// What stands before every key of the gate.
    pub fn prefix(&self) -> String {
        let queue = self.stack.gate.ready_queue("").name;
        queue.trim_end_matches("queue:").to_owned()
    }
}

fn limits(most: i32, of_probes: Option<u32>, weight: i32) -> OwnJobLimits {
    OwnJobLimits {
        max_concurrent: Some(most),
        weight: Some(weight),
        per_kind: of_probes
            .map(|most| (KINDS[0].to_owned(), most))
            .into_iter()
            .collect(),
        ..OwnJobLimits::default()
    }
}

fn pick(rows: &[Row], which: Pick, may: impl Fn(&Row) -> bool) -> Option<&Row> {
    let fitting: Vec<&Row> = rows.iter().filter(|row| may(row)).collect();
    (!fitting.is_empty()).then(|| fitting[usize::from(which) % fitting.len()])
}
