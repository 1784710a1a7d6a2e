//! A scheduler process: waits to lead, leads, and steps back.

use std::time::Duration;

use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use unity_shared::telemetry::chain;

use crate::{
    agenda::Agenda,
    leader::{Leadership, Term},
    loops::{Context, Tick, ticks},
};

/// How often a process that does not lead tries to.
const ELECTION_INTERVAL: Duration = Duration::from_secs(2);
/// How often one that leads makes sure that it does, and asks what there is to do.
const AGENDA_INTERVAL: Duration = Duration::from_secs(1);

/// Why a scheduler could not go on. It has no reason to stop by itself; a loop that panics is one.
#[derive(Debug, thiserror::Error)]
pub enum SchedulerError {
    /// A loop ended, which it never should.
    #[error("a loop ended by itself")]
    LoopEnded(#[source] tokio::task::JoinError),
}

/// A scheduler, ready to run.
#[derive(Debug)]
pub struct Scheduler {
    context: Context,
}

impl Scheduler {
    /// A scheduler over these parts.
    #[must_use]
    pub const fn new(context: Context) -> Self {
        Self { context }
    }

    /// Waits to lead, and leads, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), SchedulerError> {
        tracing::info!("scheduler started");
        while !shutdown.is_cancelled() {
            match Leadership::take(&self.context.database).await {
                Ok(Some(leadership)) => self.lead(leadership, &shutdown).await?,
                Ok(None) => tracing::debug!("another scheduler leads"),
                Err(error) => tracing::warn!(error = chain(&error), "could not stand for leader"),
            }
            tokio::select! {
                () = shutdown.cancelled() => {}
                () = tokio::time::sleep(ELECTION_INTERVAL) => {}
            }
        }
        tracing::info!("scheduler stopped");
        Ok(())
    }

    async fn lead(
        &self,
        mut leadership: Leadership,
        shutdown: &CancellationToken,
    ) -> Result<(), SchedulerError> {
        tracing::info!("leading");
        metrics::gauge!("unity_scheduler_leader").set(1.0);
        let mut loops = JoinSet::new();
        let (announced, agendas) = watch::channel(Agenda::everything());
        for tick in ticks() {
            let (context, term) = (self.context.clone(), leadership.term());
            loops.spawn(run_loop(context, tick, term, agendas.clone()));
        }
        let Context { gate, clock, .. } = &self.context;
        let mut seconds = interval(AGENDA_INTERVAL);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outcome = loop {
            tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                Some(Err(error)) = loops.join_next() => break Err(SchedulerError::LoopEnded(error)),
                _ = seconds.tick() => {
                    let Some(agenda) = leadership.ask(gate.shard(), clock.now()).await else {
                        tracing::warn!("leadership lost");
                        break Ok(());
                    };
                    announced.send_replace(agenda);
                }
            }
        };
        // The loops are stopped before the lock is given up, so that the next leader starts alone.
        loops.shutdown().await;
        metrics::gauge!("unity_scheduler_leader").set(0.0);
        outcome
    }
}

/// A tick that waited for a database that was away is no measure of what the next one costs.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Runs a loop by the agendas, of which one comes each second. A tick runs beside the next agendas; what
/// they said in the meantime is in the latest.
async fn run_loop(context: Context, tick: Tick, term: Term, mut agendas: watch::Receiver<Agenda>) {
    let mut rest = Rest::over();
    while agendas.changed().await.is_ok() {
        let agenda = *agendas.borrow_and_update();
        // A process that stood still, or is cut off, may have been replaced.
        if !rest.ends((tick.has_work)(&agenda)) || !term.is_certain() {
            continue;
        }
        let begun = Instant::now();
        if let Err(error) = (tick.run)(&context, &agenda).await {
            // The next tick looks at the same rows again, so nothing is lost by going on.
            metrics::counter!("unity_loop_errors_total", "loop" => tick.name).increment(1);
            tracing::warn!(
                tick = tick.name,
                error = chain(&error),
                "loop failed, will look again"
            );
        }
        rest = Rest::after(&tick, begun);
    }
}

/// How long a loop rests after a tick.
struct Rest {
    /// If there is work for it.
    working: Instant,
    /// If there is none.
    idle: Instant,
}

impl Rest {
    /// At the beginning of a term every loop runs: nobody may have led for long.
    fn over() -> Self {
        let now = Instant::now();
        Self {
            working: now,
            idle: now,
        }
    }

    fn after(tick: &Tick, begun: Instant) -> Self {
        // An agenda that comes some milliseconds early is the one that was waited for.
        let early = AGENDA_INTERVAL / 2;
        let cost = begun.elapsed() * tick.rest;
        let working = if cost > tick.interval {
            Instant::now() + cost.min(LONGEST_REST)
        } else {
            begun + tick.interval - early
        };
        Self {
            working,
            idle: working.max(begun + tick.at_the_latest - early),
        }
    }

    fn ends(&self, has_work: bool) -> bool {
        let end = if has_work { self.working } else { self.idle };
        end <= Instant::now()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::time::{advance, sleep};

    use super::*;

    fn tick(interval: Duration, rest: u32) -> Tick {
        Tick {
            name: "test",
            interval,
            rest,
            has_work: |_| true,
            at_the_latest: Duration::from_mins(1),
            run: |_, _| async { Ok(()) }.boxed(),
        }
    }

    /// After which of the next agendas, one a second, a loop runs again.
    async fn runs_at(rest: Rest, has_work: bool) -> u32 {
        for second in 1.. {
            advance(AGENDA_INTERVAL).await;
            if rest.ends(has_work) {
                return second;
            }
        }
        unreachable!("a rest ends")
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_runs_as_often_as_it_says_while_it_has_work_and_each_minute_while_not() {
        for (interval, with_work, without) in [(1, 1, 60), (2, 2, 60), (600, 600, 600)] {
            let tick = tick(Duration::from_secs(interval), 0);
            assert!(Rest::over().ends(false));
            assert_eq!(
                runs_at(Rest::after(&tick, Instant::now()), true).await,
                with_work
            );
            assert_eq!(
                runs_at(Rest::after(&tick, Instant::now()), false).await,
                without
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_looks_for_losses_rests_by_what_its_tick_took() {
        let tick = tick(Duration::from_secs(1), 40);
        let begun = Instant::now();
        sleep(Duration::from_millis(200)).await;
        assert_eq!(runs_at(Rest::after(&tick, begun), true).await, 8);
        let begun = Instant::now();
        sleep(Duration::from_secs(10)).await;
        assert_eq!(runs_at(Rest::after(&tick, begun), true).await, 30);
    }
}
