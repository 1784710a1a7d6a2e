//! A scheduler process: waits to lead, leads, and steps back.

use std::time::Duration;

use tokio::{task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use unity_shared::telemetry::chain;

use crate::{
    leader::{Leadership, Term},
    loops::{Context, Tick, ticks},
};

/// How often a process that does not lead tries to, and one that leads makes sure.
const ELECTION_INTERVAL: Duration = Duration::from_secs(2);

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
        for tick in ticks() {
            loops.spawn(run_loop(self.context.clone(), tick, leadership.term()));
        }
        let outcome = loop {
            tokio::select! {
                () = shutdown.cancelled() => break Ok(()),
                Some(Err(error)) = loops.join_next() => break Err(SchedulerError::LoopEnded(error)),
                () = tokio::time::sleep(ELECTION_INTERVAL) => {
                    if !leadership.holds().await {
                        tracing::warn!("leadership lost");
                        break Ok(());
                    }
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

async fn run_loop(context: Context, tick: Tick, term: Term) {
    let mut interval = tokio::time::interval(tick.interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        interval.tick().await;
        // A process that stood still, or is cut off, may have been replaced.
        if !term.is_certain() {
            continue;
        }
        let begun = Instant::now();
        if let Err(error) = (tick.run)(&context).await {
            // The next tick looks at the same rows again, so nothing is lost by going on.
            metrics::counter!("unity_loop_errors_total", "loop" => tick.name).increment(1);
            tracing::warn!(
                tick = tick.name,
                error = chain(&error),
                "loop failed, will look again"
            );
        }
        let rest = begun.elapsed() * tick.rest;
        if rest > tick.interval {
            interval.reset_after(rest.min(LONGEST_REST));
        }
    }
}
