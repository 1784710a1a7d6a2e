//! A worker without a process: what it knows, and the calls that it makes in the order in which the
//! runtime makes them.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use redis::AsyncCommands;
use serde_json::json;
use unity_shared::{
    ids::{JobId, TenantId, WorkerId},
    jobs::{
        Claim, ClaimedJob, Finish, JobFailure, LeaseKey, Verdict, claim_jobs, finish_jobs,
        renew_leases,
    },
    queue::{Beat, Line, Member, ReadyJob, Settled, read_entry},
};

use super::{
    steps::{End, KINDS},
    world::{LEASE, QUEUE},
};
use crate::harness::Stack;

/// Jobs at once.
const CAPACITY: u32 = 4;

/// What the gate gave, before the record was asked.
struct Granted {
    epoch: Option<i64>,
    asked_at: DateTime<Utc>,
    lines: HashMap<JobId, Arc<Line>>,
    jobs: Vec<(TenantId, JobId)>,
}

/// A worker.
pub struct Worker {
    pub id: WorkerId,
    pub kinds: Vec<&'static str>,
    pub last_beat: DateTime<Utc>,
    /// Whether its last sign of life did not reach Redis.
    pub cut_off: bool,
    fetched: Vec<ReadyJob>,
    granted: Vec<Granted>,
    pub held: Vec<ClaimedJob>,
    unsettled: Vec<Settled>,
}

/// A verdict that was handed in.
pub struct HandedIn {
    pub id: JobId,
    pub fence: i64,
    pub counted: bool,
}

impl Worker {
    /// A process that has just started, with the kinds of these bits.
    pub async fn start(stack: &Stack, kinds: u8) -> Self {
        let of_bits = KINDS.iter().enumerate();
        let mut worker = Self {
            id: WorkerId::new(),
            kinds: of_bits
                .filter(|(bit, _)| kinds & (1 << bit) != 0)
                .map(|(_, kind)| *kind)
                .collect(),
            last_beat: stack.clock.now(),
            cut_off: false,
            fetched: Vec::new(),
            granted: Vec::new(),
            held: Vec::new(),
            unsettled: Vec::new(),
        };
        worker.beat(stack, true).await;
        worker.register(stack).await;
        worker
    }

    fn member(&self) -> Member<'_> {
        Member {
            worker: self.id,
            queue: QUEUE,
            kinds: &self.kinds,
        }
    }

    /// What apalis-redis does when a backend starts.
    async fn register(&self, stack: &Stack) {
        let now = stack.clock.now().timestamp();
        let workers = stack.gate.ready_queue(QUEUE).workers();
        let mut redis = stack.gate.connection();
        let _: i64 = redis.zadd(workers, self.id.to_string(), now).await.unwrap();
    }

    /// What apalis-redis does to fetch. A worker that it does not know any more starts anew first.
    pub async fn fetch(&mut self, stack: &Stack, most: usize) {
        let granted: usize = self.granted.iter().map(|granted| granted.jobs.len()).sum();
        let busy = self.fetched.len() + granted + self.held.len() + self.unsettled.len();
        let most = most.min((CAPACITY as usize).saturating_sub(busy));
        if most == 0 {
            return;
        }
        let keys = stack.gate.ready_queue(QUEUE);
        let mut redis = stack.gate.connection();
        let seen: Option<f64> = redis
            .zscore(keys.workers(), self.id.to_string())
            .await
            .unwrap();
        if seen.is_none() {
            self.start_anew(stack).await;
        }
        let mut fetched = Vec::new();
        for _ in 0..most {
            let Some(name): Option<String> = redis.lpop(keys.active(), None).await.unwrap() else {
                break;
            };
            let _: i64 = redis
                .sadd(keys.inflight(&self.id.to_string()), &name)
                .await
                .unwrap();
            let entry: Option<Vec<u8>> = redis.hget(keys.data(), &name).await.unwrap();
            let Some(entry) = entry else {
                // A copy of one that was claimed since: apalis-redis fails the whole fetch.
                return self.start_anew(stack).await;
            };
            fetched.extend(read_entry(QUEUE, &entry).unwrap_or_default());
        }
        self.fetched.extend(fetched);
    }

    /// What the worker does when its backend failed: whatever it fetched and did not claim waits again.
    async fn start_anew(&self, stack: &Stack) {
        stack.gate.rejoin(self.id, QUEUE).await.unwrap();
        self.register(stack).await;
    }

    /// A job of which it still has an attempt in hand goes on to another.
    pub async fn claim_in_gate(&mut self, stack: &Stack) {
        let fetched = std::mem::take(&mut self.fetched);
        let mut in_hand = self.in_hand();
        let (fetched, passed_on): (Vec<ReadyJob>, Vec<ReadyJob>) =
            fetched.into_iter().partition(|job| in_hand.insert(job.id));
        if !passed_on.is_empty() {
            let nobody = Member {
                kinds: &[],
                ..self.member()
            };
            stack.gate.claim(&nobody, &passed_on).await.unwrap();
        }
        if fetched.is_empty() {
            return;
        }
        let asked_at = stack.clock.now();
        let claims = stack.gate.claim(&self.member(), &fetched).await.unwrap();
        self.granted.push(Granted {
            epoch: claims.epoch,
            asked_at: asked_at - claims.age,
            lines: fetched.into_iter().map(|job| (job.id, job.line)).collect(),
            jobs: claims.admitted,
        });
    }

    fn in_hand(&self) -> HashSet<JobId> {
        let granted = self.granted.iter().flat_map(|granted| &granted.jobs);
        let held = self.held.iter().map(|job| job.id);
        let unsettled = self.unsettled.iter().map(|job| job.id);
        granted
            .map(|(_, id)| *id)
            .chain(held)
            .chain(unsettled)
            .collect()
    }

    /// Claims the rows of what the gate gave, and settles what it did not get. What it answers began
    /// to run.
    pub async fn claim_rows(&mut self, stack: &Stack) -> Vec<ClaimedJob> {
        let mut begun = Vec::new();
        for granted in std::mem::take(&mut self.granted) {
            let claimed = self.claim_granted(stack, &granted).await;
            let missed = granted
                .jobs
                .iter()
                .filter(|(_, id)| !claimed.iter().any(|job| job.id == *id));
            self.unsettled.extend(missed.map(|(_, id)| Settled {
                line: Arc::clone(&granted.lines[id]),
                id: *id,
                ran: None,
                keyed: true,
                waits_again: false,
            }));
            begun.extend(claimed);
        }
        self.held.extend(begun.iter().cloned());
        self.settle(stack).await;
        begun
    }

    async fn claim_granted(&self, stack: &Stack, granted: &Granted) -> Vec<ClaimedJob> {
        let now = stack.clock.now();
        let lease = TimeDelta::from_std(LEASE).unwrap();
        let (Some(epoch), true) = (granted.epoch, now - granted.asked_at <= lease / 5) else {
            return Vec::new();
        };
        let claim = Claim {
            worker: self.id,
            shard: stack.gate.shard(),
            epoch,
            kinds: &self.kinds,
            jobs: &granted.jobs,
            lease_expires_at: granted.asked_at + lease,
        };
        let mut tx = stack.database.engine().statement().await.unwrap();
        claim_jobs(&mut tx, &claim, now).await.unwrap()
    }

    /// Hands in the verdict on one of its jobs.
    pub async fn finish(&mut self, stack: &Stack, job: usize, end: End) -> Option<HandedIn> {
        if self.held.is_empty() {
            return None;
        }
        let job = self.held.swap_remove(job % self.held.len());
        let now = stack.clock.now();
        let finish = Finish {
            lease: lease_of(&job),
            started_at: job.attempt_started_at,
            verdict: verdict(&job, end, now),
        };
        let mut tx = stack.database.engine().statement().await.unwrap();
        let counted = finish_jobs(&mut tx, self.id, &[finish], now).await.unwrap();
        self.unsettled.push(Settled {
            waits_again: end == End::HandBack && counted.contains(&job.id),
            ..settled(&job)
        });
        Some(HandedIn {
            id: job.id,
            fence: job.fence,
            counted: counted.contains(&job.id),
        })
    }

    pub async fn settle(&mut self, stack: &Stack) {
        let settled = std::mem::take(&mut self.unsettled);
        stack.gate.settle(self.id, &settled).await.unwrap();
    }

    /// The record first; what it does not call this worker's any more is given up.
    pub async fn beat(&mut self, stack: &Stack, redis: bool) {
        let now = stack.clock.now();
        let keys: Vec<LeaseKey> = self.held.iter().map(lease_of).collect();
        let mut kept = HashMap::new();
        if !keys.is_empty() {
            let mut tx = stack.database.engine().statement().await.unwrap();
            kept = renew_leases(&mut tx, &keys, now, now + LEASE)
                .await
                .unwrap();
        }
        self.give_up(|job| !kept.contains_key(&job.id));
        self.last_beat = now;
        self.cut_off = !redis;
        if redis {
            let claims: Vec<_> = self.held.iter().map(ClaimedJob::offer).collect();
            let beat = Beat {
                member: self.member(),
                capacity: CAPACITY,
                claims: &claims,
            };
            let lost = stack.gate.beat(&beat).await.unwrap();
            self.give_up(|job| lost.contains(&job.id));
        }
    }

    /// Ends attempts whose lease is lost: nothing is written, and the slot is settled.
    fn give_up(&mut self, lost: impl Fn(&ClaimedJob) -> bool) {
        let given_up = self.held.extract_if(.., |job| lost(job));
        self.unsettled.extend(given_up.map(|job| settled(&job)));
    }

    /// A graceful stop: what it has goes back.
    pub async fn stop(&mut self, stack: &Stack) -> Vec<HandedIn> {
        self.claim_in_gate(stack).await;
        self.claim_rows(stack).await;
        let mut handed_in = Vec::new();
        while let Some(finished) = self.finish(stack, 0, End::HandBack).await {
            handed_in.push(finished);
        }
        self.settle(stack).await;
        stack.gate.leave(self.id, QUEUE).await.unwrap();
        handed_in
    }
}

fn settled(job: &ClaimedJob) -> Settled {
    Settled {
        line: Arc::new(job.offer().line()),
        id: job.id,
        ran: Some(Duration::from_millis(80)),
        keyed: job.resource_key.is_some(),
        waits_again: false,
    }
}

fn lease_of(job: &ClaimedJob) -> LeaseKey {
    LeaseKey {
        tenant_id: job.tenant_id.clone(),
        id: job.id,
        fence: job.fence,
    }
}

fn verdict(job: &ClaimedJob, end: End, now: DateTime<Utc>) -> Verdict {
    let failure = JobFailure {
        code: "model.failed".to_owned(),
        message: "the model said so".to_owned(),
        retryable: true,
    };
    match end {
        End::Succeed => Verdict::Succeeded(json!({ "fence": job.fence })),
        End::Retry { seconds } if job.attempt < job.max_attempts => {
            Verdict::Retry(failure, now + TimeDelta::seconds(seconds))
        }
        End::Fail | End::Retry { .. } => Verdict::Failed(failure),
        End::Snooze { seconds } => Verdict::Snoozed(now + TimeDelta::seconds(seconds)),
        End::HandBack => Verdict::HandedBack,
        End::Cancel => Verdict::Cancelled(failure),
    }
}
