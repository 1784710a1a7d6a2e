//! What may happen to the engine, and how often the generator lets it happen.

use proptest::prelude::*;

/// Kinds of the jobs. The second supersedes and is bound to a resource key.
pub const KINDS: [&str; 2] = ["probe", "provision_namespace"];
/// Tenants of the world.
pub const TENANTS: [&str; 3] = ["ant", "bee", "cat"];
/// Workers that live at a time.
pub const WORKERS: usize = 3;

/// Which of the things there are; taken modulo their number.
pub type Pick = u16;

/// A job that is ordered.
#[derive(Debug, Clone)]
pub struct Order {
    pub tenant: usize,
    pub kind: usize,
    pub priority: i16,
    pub delay_seconds: i64,
    pub expires_seconds: Option<i64>,
    pub key: Option<u8>,
    pub max_attempts: i32,
    /// Whether the process lives long enough to offer the job after its commit.
    pub offered: bool,
}

/// How an attempt ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Succeed,
    Fail,
    Retry { seconds: i64 },
    Snooze { seconds: i64 },
    HandBack,
    Cancel,
}

/// What a switch concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Scope {
    pub tenant: Option<usize>,
    pub kind: Option<usize>,
}

/// One step.
#[derive(Debug, Clone)]
pub enum Step {
    Enqueue(Order),
    /// A worker takes ids from the ready list.
    Fetch {
        worker: usize,
        most: usize,
    },
    /// A worker takes what it fetched in the gate.
    ClaimInGate {
        worker: usize,
    },
    /// A worker takes in the record what the gate gave it.
    ClaimRows {
        worker: usize,
    },
    /// All three in a row.
    Take {
        worker: usize,
        most: usize,
    },
    Finish {
        worker: usize,
        job: Pick,
        end: End,
        /// Whether the slot is settled in the same breath.
        settled: bool,
    },
    Settle {
        worker: usize,
    },
    /// A sign of life; without Redis it reaches the record alone.
    Beat {
        worker: usize,
        redis: bool,
    },
    /// The process is gone, and with it all that it knew. Another one starts in its place.
    Crash {
        worker: usize,
    },
    /// The process stands still, and so does the scheduler, while the others beat.
    Freeze {
        worker: usize,
        millis: i64,
    },
    /// Between the gate's answer and the claim in the record a worker stands still: Redis is emptied
    /// and filled again meanwhile, or its slots lapse. A new job of the highest priority comes first,
    /// and another worker takes it.
    Overtake {
        worker: usize,
        order: Order,
        wiped: bool,
    },
    /// A graceful stop; another one starts in its place, with these kinds (bits).
    Replace {
        worker: usize,
        kinds: u8,
    },
    /// Ids that silent workers had fetched go back to the ready list, as apalis-redis does it.
    ScanOrphans,
    /// Every loop of the scheduler runs once.
    Tick {
        scheduler: usize,
    },
    Pass {
        millis: i64,
    },
    Cancel {
        job: Pick,
        gate_told: bool,
    },
    Revive {
        job: Pick,
        offered: bool,
    },
    Limit {
        tenant: usize,
        most: i32,
        of_probes: Option<u32>,
        weight: i32,
        announced: bool,
    },
    /// An announcement of limits that were read before the latest arrives only now.
    LateLimits {
        tenant: usize,
        most: u32,
    },
    /// The same of switches: none was on then.
    LateSwitches,
    Pause {
        scope: Scope,
        seconds: i64,
        announced: bool,
    },
    Unpause {
        switch: Pick,
        announced: bool,
    },
    /// Redis is emptied, and perhaps filled again at once.
    Wipe {
        refilled: bool,
    },
    /// One key of the gate is lost, and the scheduler looks.
    Lose {
        key: Pick,
    },
    /// Another epoch is in the record than in the gate.
    ForkEpoch,
    /// Nobody reached Redis for a lease: the epoch is gone, and everything else still there.
    Close,
}

fn tenant() -> impl Strategy<Value = usize> {
    0..TENANTS.len()
}

fn worker() -> impl Strategy<Value = usize> {
    0..WORKERS
}

fn order() -> impl Strategy<Value = Order> {
    (
        tenant(),
        prop_oneof![5 => Just(0_usize), 1 => Just(1)],
        0_i16..10,
        prop_oneof![4 => Just(0_i64), 1 => 1_i64..20],
        prop_oneof![6 => Just(None), 1 => (1_i64..30).prop_map(Some)],
        prop_oneof![2 => Just(None), 1 => (0_u8..2).prop_map(Some)],
        1_i32..4,
        prop::bool::weighted(0.85),
    )
        .prop_map(
            |(
                tenant,
                kind,
                priority,
                delay_seconds,
                expires_seconds,
                key,
                max_attempts,
                offered,
            )| {
                Order {
                    tenant,
                    kind,
                    priority,
                    delay_seconds,
                    expires_seconds,
                    key,
                    max_attempts,
                    offered,
                }
            },
        )
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        6 => Just(End::Succeed),
        1 => Just(End::Fail),
        2 => (0_i64..10).prop_map(|seconds| End::Retry { seconds }),
        1 => (0_i64..10).prop_map(|seconds| End::Snooze { seconds }),
        1 => Just(End::HandBack),
        1 => Just(End::Cancel),
    ]
}

fn scope() -> impl Strategy<Value = Scope> {
    prop_oneof![
        tenant().prop_map(|tenant| Scope {
            tenant: Some(tenant),
            kind: None
        }),
        (0..KINDS.len()).prop_map(|kind| Scope {
            tenant: None,
            kind: Some(kind)
        }),
        (tenant(), 0..KINDS.len()).prop_map(|(tenant, kind)| Scope {
            tenant: Some(tenant),
            kind: Some(kind)
        }),
    ]
}

/// A worker at its work.
fn work() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (worker(), 1_usize..5).prop_map(|(worker, most)| Step::Fetch { worker, most }),
        3 => worker().prop_map(|worker| Step::ClaimInGate { worker }),
        3 => worker().prop_map(|worker| Step::ClaimRows { worker }),
        10 => (worker(), 1_usize..5).prop_map(|(worker, most)| Step::Take { worker, most }),
        14 => (worker(), any::<Pick>(), end(), prop::bool::weighted(0.8))
            .prop_map(|(worker, job, end, settled)| Step::Finish { worker, job, end, settled }),
        2 => worker().prop_map(|worker| Step::Settle { worker }),
        8 => (worker(), prop::bool::weighted(0.8))
            .prop_map(|(worker, redis)| Step::Beat { worker, redis }),
    ]
}

/// What goes wrong.
fn trouble() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => worker().prop_map(|worker| Step::Crash { worker }),
        3 => (worker(), 3_000_i64..20_000)
            .prop_map(|(worker, millis)| Step::Freeze { worker, millis }),
        4 => (worker(), order(), any::<bool>())
            .prop_map(|(worker, order, wiped)| Step::Overtake { worker, order, wiped }),
        2 => (worker(), 1_u8..4).prop_map(|(worker, kinds)| Step::Replace { worker, kinds }),
        2 => Just(Step::ScanOrphans),
        3 => prop::bool::ANY.prop_map(|refilled| Step::Wipe { refilled }),
        4 => any::<Pick>().prop_map(|key| Step::Lose { key }),
        1 => Just(Step::ForkEpoch),
        1 => Just(Step::Close),
    ]
}

/// What people decide.
fn decisions() -> impl Strategy<Value = Step> {
    let announced = || prop::bool::weighted(0.8);
    prop_oneof![
        4 => (any::<Pick>(), announced()).prop_map(|(job, gate_told)| Step::Cancel { job, gate_told }),
        3 => (any::<Pick>(), announced()).prop_map(|(job, offered)| Step::Revive { job, offered }),
        4 => (tenant(), 0_i32..5, prop::option::of(0_u32..3), 1_i32..9, announced()).prop_map(
            |(tenant, most, of_probes, weight, announced)| Step::Limit {
                tenant,
                most,
                of_probes,
                weight,
                announced,
            }
        ),
        1 => (tenant(), 0_u32..9).prop_map(|(tenant, most)| Step::LateLimits { tenant, most }),
        1 => Just(Step::LateSwitches),
        2 => (scope(), 1_i64..30, announced())
            .prop_map(|(scope, seconds, announced)| Step::Pause { scope, seconds, announced }),
        2 => (any::<Pick>(), announced())
            .prop_map(|(switch, announced)| Step::Unpause { switch, announced }),
    ]
}

/// Any step, the usual ones more often.
pub fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        22 => order().prop_map(Step::Enqueue),
        43 => work(),
        10 => trouble(),
        9 => decisions(),
        9 => (0_usize..2).prop_map(|scheduler| Step::Tick { scheduler }),
        8 => (50_i64..3_000).prop_map(|millis| Step::Pass { millis }),
        2 => (3_000_i64..20_000).prop_map(|millis| Step::Pass { millis }),
    ]
}
