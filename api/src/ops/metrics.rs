//! The process's metrics, as Prometheus reads them.

use std::{sync::OnceLock, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// A process has one recorder; whoever asks again gets the same.
static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();

/// Upper bounds of the histograms' buckets, in seconds: from a cached read to a long poll.
const SECONDS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0, 60.0,
];
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Makes this process record metrics and answers the handle that shows them. Call it before the
/// first metric; calling it again changes nothing.
#[must_use]
pub fn install_recorder() -> PrometheusHandle {
    HANDLE.get_or_init(install).clone()
}

fn install() -> PrometheusHandle {
    // Every histogram of ours is named for its unit and measures seconds.
    let buckets = Matcher::Suffix("_seconds".to_owned());
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(buckets, &SECONDS)
        .unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if ::metrics::set_global_recorder(recorder).is_err() {
        tracing::warn!("another recorder is installed; /metrics stays empty");
    }
    handle
}

/// Drains histograms now and then: they grow with every sample until somebody does.
pub async fn keep_up(handle: PrometheusHandle) {
    let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
    loop {
        ticks.tick().await;
        handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_metric_is_rendered_with_its_buckets() {
        let handle = install_recorder();
        ::metrics::histogram!("test_wait_seconds").record(0.02);
        ::metrics::counter!("test_total").increment(2);
        let text = install_recorder().render();
        assert!(text.contains("test_total 2"));
        assert!(
            text.contains("test_wait_seconds_bucket{le=\"0.025\"} 1"),
            "{text}"
        );
        assert_eq!(handle.render(), text);
    }
}
