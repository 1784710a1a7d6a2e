//! Refills the gate when what it holds cannot be believed, and frees the slots that nobody renews.
//!
//! It is believed while its epoch is the record's and the Redis that answers is the one that was
//! filled: one that was emptied has no epoch, one that started anew may have come back with what it
//! held some time ago, and where the epochs differ nothing could be claimed.
//!
//! Before a slot lapses, the row is asked: a worker that reaches PostgreSQL but not Redis still runs
//! its jobs, and they must keep counting.
//!
//! Mostly all is well: then one call of Redis says so and frees what there is. Only if it does not is each
//! thing looked at apart.

use std::time::Duration;

use tokio::time::Instant;
use unity_shared::{
    jobs::{kinds::queue_names, select_gate_epoch, select_running},
    queue::{RefillError, refill},
};

use super::{Context, LoopError};

/// How long a tick goes on with what a single script left over.
const BUDGET: Duration = Duration::from_millis(500);
/// Most ids that the gate names at once.
const EXPIRING: usize = 1000;

/// `recorded` is the record's epoch as the agenda has read it.
pub(super) async fn tick(context: &Context, recorded: Option<i64>) -> Result<(), LoopError> {
    let queues = queue_names();
    let soon = soon(context);
    if let Some(epoch) = recorded
        && let Some((freed, more)) = context.gate.reap_if_sound(&queues, epoch, soon).await?
    {
        note(freed);
        if !more {
            return Ok(());
        }
    } else {
        if !is_believed(context).await? {
            fill(context).await?;
        }
        for queue in &queues {
            keep_running_slots(context, queue).await?;
        }
    }
    let started = Instant::now();
    loop {
        let (freed, more) = context.gate.reap(&queues).await?;
        note(freed);
        if !more || started.elapsed() > BUDGET {
            return Ok(());
        }
    }
}

/// Healthy slots are renewed when two thirds of their lease are left; what is below one half is late.
fn soon(context: &Context) -> Duration {
    context.lease / 2
}

fn note(freed: usize) {
    if freed > 0 {
        metrics::counter!("unity_slots_freed_total").increment(freed as u64);
        tracing::info!(freed, "slots freed that nobody renewed");
    }
}

async fn is_believed(context: &Context) -> Result<bool, LoopError> {
    let opening = context.gate.opening().await?;
    if opening.epoch.is_none() {
        return Ok(false);
    }
    let mut tx = context.database.engine().statement().await?;
    let epoch = select_gate_epoch(&mut tx, context.gate.shard()).await?;
    let believed = opening.epoch == Some(epoch) && opening.as_opened;
    if !believed {
        tracing::warn!(?opening, epoch, "the gate is not the one that was opened");
    }
    Ok(believed)
}

async fn fill(context: &Context) -> Result<(), LoopError> {
    match refill(&context.database, &context.gate, context.clock.now()).await {
        Ok(report) => {
            metrics::counter!("unity_gate_refills_total").increment(1);
            tracing::info!(
                epoch = report.epoch,
                running = report.running,
                waiting = report.waiting,
                seconds = report.took.as_secs_f64(),
                "gate refilled from the rows"
            );
            Ok(())
        }
        Err(RefillError::Overtaken) => {
            tracing::info!("refill left to a newer one");
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

async fn keep_running_slots(context: &Context, queue: &str) -> Result<(), LoopError> {
    let mut passed_over = 0;
    loop {
        let soon = soon(context);
        let late = context.gate.expiring(queue, soon, passed_over).await?;
        if late.is_empty() {
            return Ok(());
        }
        let mut tx = context.database.engine().statement().await?;
        let running = select_running(&mut tx, &late, context.clock.now()).await?;
        drop(tx);
        context.gate.extend(&running).await?;
        if late.len() < EXPIRING {
            return Ok(());
        }
        // Those that last longer now are not named again. To pass over too many is made good by the next
        // tick.
        let late_again = context.clock.now() + soon;
        let lasting = running
            .iter()
            .filter(|job| job.lease_expires_at > late_again)
            .count();
        passed_over += late.len() - lasting;
    }
}
