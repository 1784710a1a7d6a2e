//! A graceful stop: nothing new, a limit for what runs, the rest handed back.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::inflight::{InFlight, Stop};

/// Time for handed-back jobs to be written and settled after the limit.
pub(super) const HAND_BACK_TIME: Duration = Duration::from_secs(10);

/// Waits for `shutdown`, gives what runs `limit` to end by itself, then hands the rest back. The
/// attempts that are handed back do not count.
pub(super) async fn drain(shutdown: CancellationToken, inflight: InFlight, limit: Duration) {
    shutdown.cancelled().await;
    tracing::info!(running = inflight.len(), "stopping: no new jobs");
    tokio::time::sleep(limit).await;
    let running = inflight.len();
    if running > 0 {
        tracing::info!(running, "time is up: handing jobs back");
    }
    // Again and again: a job may be claimed between two looks, while its id was already on its way.
    loop {
        inflight.stop_all(Stop::HandBack);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
