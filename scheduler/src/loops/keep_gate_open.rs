//! Refills the gate when it was emptied, and frees the slots that nobody renews.
//!
//! Before a slot lapses, the row is asked: a worker that reaches PostgreSQL but not Redis still runs
//! its jobs, and they must keep counting.

use unity_shared::{
    jobs::{kinds::queue_names, select_running},
    queue::refill,
};

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    if context.gate.epoch().await?.is_none() {
        let report = refill(&context.database, &context.gate, context.clock.now()).await?;
        metrics::counter!("unity_gate_refills_total").increment(1);
        tracing::info!(
            epoch = report.epoch,
            running = report.running,
            waiting = report.waiting,
            seconds = report.took.as_secs_f64(),
            "gate refilled from the rows"
        );
    }
    let queues = queue_names();
    for queue in &queues {
        keep_running_slots(context, queue).await?;
    }
    let freed = context.gate.reap(&queues).await?;
    if freed > 0 {
        metrics::counter!("unity_slots_freed_total").increment(freed as u64);
        tracing::info!(freed, "slots freed that nobody renewed");
    }
    Ok(())
}

async fn keep_running_slots(context: &Context, queue: &str) -> Result<(), LoopError> {
    // Healthy slots are renewed when two thirds of their lease are left; what is below one half is
    // late.
    let late = context.gate.expiring(queue, context.lease / 2).await?;
    if late.is_empty() {
        return Ok(());
    }
    let mut tx = context.database.engine().statement().await?;
    let running = select_running(&mut tx, &late, context.clock.now()).await?;
    context.gate.extend(&running).await?;
    Ok(())
}
