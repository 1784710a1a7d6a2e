//! One file and one line for each loop.
//!
//! A tick takes no input: it looks at the rows and at the gate, does what is due, and may be run
//! again at once, late, or twice. The agenda tells when it is worth a look, and may save a question; it is
//! never the last word.

mod announce_changed_limits;
mod announce_limits;
mod announce_switches;
mod count_running_jobs;
mod delete_orphaned_people;
mod drop_stale_jobs;
mod expire_idempotency_keys;
mod expire_jobs;
mod expire_sessions;
mod fire_schedules;
mod keep_gate_open;
mod offer_forgotten_jobs;
mod purge_deleted_tenants;
mod queue_due_jobs;
mod rescue_expired_leases;
mod trim_events;

use std::time::Duration;

use futures::future::BoxFuture;
use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    queue::{Gate, GateError, RefillError},
};

use crate::{
    agenda::{AT_THE_LATEST, Agenda},
    cursors::Cursors,
};

/// What loops work with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The record.
    pub database: Database,
    /// The queue.
    pub gate: Gate,
    /// The time.
    pub clock: Clock,
    /// How long a lease is; some loops look ahead by a part of it.
    pub lease: Duration,
    /// How far the loops that go bit by bit have come.
    pub cursors: Cursors,
}

/// Why a tick did not get through. The next one starts over.
#[derive(Debug, thiserror::Error)]
pub enum LoopError {
    /// The record could not be read or written.
    #[error("the record did not take part")]
    Database(#[from] DbError),
    /// The gate could not be read or written.
    #[error("the gate did not take part")]
    Gate(#[from] GateError),
    /// The gate could not be refilled.
    #[error("the gate could not be refilled")]
    Refill(#[from] RefillError),
    /// A schedule in the record cannot be read.
    #[error("schedule {name} has no valid cron expression: {detail}")]
    Schedule {
        /// Its name.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
}

type Run = for<'a> fn(&'a Context, &'a Agenda) -> BoxFuture<'a, Result<(), LoopError>>;

/// A loop: what it does and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tick {
    /// Its name, in logs and metrics.
    pub name: &'static str,
    /// Time between two ticks while there is work for it; whole seconds.
    pub interval: Duration,
    /// A tick rests for at least so many times as long as the one before took; 0 = it is due whatever it
    /// costs. What only looks whether anything was lost must not take much from the work itself, and
    /// under load looking costs more.
    pub rest: u32,
    /// Whether there is work for it by the agenda. A loop that looks at more than rows has always work.
    pub has_work: fn(&Agenda) -> bool,
    /// Time between two ticks while there is none by the agenda.
    pub at_the_latest: Duration,
    /// One tick.
    pub run: Run,
}

impl Tick {
    /// The same, for work of which the agenda tells.
    fn when(self, has_work: fn(&Agenda) -> bool) -> Self {
        Self { has_work, ..self }
    }

    /// The same, for what must not rest for long either.
    fn at_the_latest(self, at_the_latest: Duration) -> Self {
        Self {
            at_the_latest,
            ..self
        }
    }
}

const SECOND: Duration = Duration::from_secs(1);
/// For what looks for losses: a fortieth of one connection's time.
const LONG_REST: u32 = 40;

/// Every loop, in the order in which one tick of each makes sense: what Redis may have lost is made good
/// before anything is admitted.
pub(crate) fn ticks() -> Vec<Tick> {
    let due = |name, interval, run| Tick {
        name,
        interval,
        rest: 0,
        has_work: |_| true,
        at_the_latest: AT_THE_LATEST,
        run,
    };
    let looks = |name, interval, run| Tick {
        rest: LONG_REST,
        ..due(name, interval, run)
    };
    vec![
        due("announce_switches", 2 * SECOND, |c, _| {
            Box::pin(announce_switches::tick(c))
        })
        .when(|agenda| agenda.switches),
        due("announce_changed_limits", 2 * SECOND, |c, _| {
            Box::pin(announce_changed_limits::tick(c))
        })
        .when(|agenda| agenda.changed_tenants),
        looks("announce_limits", 60 * SECOND, |c, _| {
            Box::pin(announce_limits::tick(c))
        }),
        looks("count_running_jobs", 5 * SECOND, |c, _| {
            Box::pin(count_running_jobs::tick(c))
        })
        .when(|agenda| agenda.running_jobs),
        looks("offer_forgotten_jobs", SECOND, |c, _| {
            Box::pin(offer_forgotten_jobs::tick(c))
        })
        .when(|agenda| agenda.queued_jobs),
        due("rescue_expired_leases", SECOND, |c, _| {
            Box::pin(rescue_expired_leases::tick(c))
        })
        .when(|agenda| agenda.expired_leases),
        due("keep_gate_open", SECOND, |c, agenda| {
            Box::pin(keep_gate_open::tick(c, agenda.epoch))
        })
        .when(|agenda| agenda.queued_jobs || agenda.running_jobs)
        // Often enough for the epoch and the list of workers, which live by leases.
        .at_the_latest(2 * SECOND),
        due("expire_jobs", SECOND, |c, _| Box::pin(expire_jobs::tick(c)))
            .when(|agenda| agenda.late_jobs),
        due("queue_due_jobs", SECOND, |c, _| {
            Box::pin(queue_due_jobs::tick(c))
        })
        .when(|agenda| agenda.due_jobs),
        looks("drop_stale_jobs", 5 * SECOND, |c, _| {
            Box::pin(drop_stale_jobs::tick(c))
        }),
        due("fire_schedules", SECOND, |c, _| {
            Box::pin(fire_schedules::tick(c))
        })
        .when(|agenda| agenda.due_schedules),
        due("purge_deleted_tenants", 30 * SECOND, |c, _| {
            Box::pin(purge_deleted_tenants::tick(c))
        }),
        due("expire_idempotency_keys", 600 * SECOND, |c, _| {
            Box::pin(expire_idempotency_keys::tick(c))
        }),
        due("expire_sessions", 600 * SECOND, |c, _| {
            Box::pin(expire_sessions::tick(c))
        }),
        looks("delete_orphaned_people", 3600 * SECOND, |c, _| {
            Box::pin(delete_orphaned_people::tick(c))
        }),
        due("trim_events", 60 * SECOND, |c, _| {
            Box::pin(trim_events::tick(c))
        }),
    ]
}

/// Runs every loop once, whatever the agenda says, for tests and for operators who cannot wait.
pub async fn run_all_once(context: &Context) -> Result<(), LoopError> {
    let mut tx = context.database.engine().statement().await?;
    let (shard, now) = (context.gate.shard(), context.clock.now());
    let agenda = Agenda::ask(tx.connection(), shard, now).await?;
    drop(tx);
    for tick in ticks() {
        (tick.run)(context, &agenda).await?;
    }
    Ok(())
}
