//! `unity queues verify`: whether Redis and the rows agree. A tenant over a limit that was lowered is
//! shown and no disagreement: it drains.

use std::{collections::BTreeSet, fmt::Display, time::Duration};

use anyhow::{Result, bail};
use unity_shared::{
    config::Settings,
    queue::{Drift, verify},
};

use crate::{
    client::line,
    process::{Connections, shutdown_signal},
};

/// Time between two comparisons with `--watch`.
const INTERVAL: Duration = Duration::from_secs(5);
/// Ids that are printed of each sort.
const SHOWN: usize = 20;

pub(super) async fn run(settings: Settings, watch: bool) -> Result<()> {
    let connections = Connections::open(&settings).await?;
    let shutdown = shutdown_signal()?;
    let mut agreed = true;
    loop {
        let Connections {
            database,
            gate,
            clock,
        } = &connections;
        let drift = tokio::select! {
            drift = verify(database, gate, clock) => drift?,
            () = shutdown.cancelled() => break,
        };
        show(&drift);
        agreed &= drift.is_empty();
        if !watch {
            break;
        }
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => {}
            () = shutdown.cancelled() => break,
        }
    }
    if !agreed {
        bail!(
            "the queue and the rows did not agree; the scheduler mends it within seconds if it runs"
        );
    }
    Ok(())
}

fn show(drift: &Drift) {
    let Drift {
        unknown,
        stale,
        uncounted,
        limits,
        pauses,
        over_limit,
    } = drift;
    show_sort("unknown", unknown);
    show_sort("stale", stale);
    show_sort("uncounted", uncounted);
    show_sort("limits", limits);
    show_sort("pauses", pauses);
    show_sort("over_limit", over_limit);
}

fn show_sort<T: Display>(name: &str, found: &BTreeSet<T>) {
    line(&format!("{name:10} {}", found.len()));
    for one in found.iter().take(SHOWN) {
        line(&format!("    {one}"));
    }
    if let Some(rest) = found.len().checked_sub(SHOWN).filter(|rest| *rest > 0) {
        line(&format!("    and {rest} more"));
    }
}
