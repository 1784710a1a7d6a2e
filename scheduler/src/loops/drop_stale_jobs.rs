//! The sweeper the other way round: takes jobs out of the gate whose rows neither wait nor run.
//!
//! A job is stale when a process dies between the commit that ends it and the call that takes it out
//! of the gate. It would be dropped at its claim; until then it stands in the line for nothing. A
//! claimed job is left to its worker. A tick looks at one page and the next goes on from there.

use unity_shared::jobs::select_idle;

use super::{Context, LoopError};

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let (next, known) = context.gate.known(context.cursors.known()).await?;
    context.cursors.set_known(next);
    if known.is_empty() {
        return Ok(());
    }
    let mut tx = context.database.engine().statement().await?;
    let idle = select_idle(&mut tx, &known).await?;
    drop(tx);
    let dropped = context.gate.forget(&idle).await?;
    if dropped > 0 {
        metrics::counter!("unity_gate_drift_total", "found" => "stale").increment(dropped as u64);
        tracing::info!(jobs = dropped, "stale jobs dropped");
    }
    Ok(())
}
