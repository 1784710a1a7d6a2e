//! What operators and their tools ask a process, on a port of its own: does it live, is it ready,
//! how is it doing. Every process serves this, not the API alone.

mod metrics;
mod readiness;

use std::time::Duration;

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub use self::metrics::install_recorder;
pub use readiness::{Readiness, ReadinessReport, ReadinessStatus};

use crate::serve::{ServeError, serve as serve_router};

/// Text exposition format of Prometheus.
const METRICS_TYPE: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4");
/// An answer here takes at most the 2 s of a readiness check.
const DRAIN: Duration = Duration::from_secs(3);

/// Serves `/healthz`, `/readyz` and `/metrics` until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    readiness: Readiness,
    handle: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<(), ServeError> {
    let upkeep = metrics::keep_up(handle.clone());
    let served = serve_router(listener, router(readiness, handle), shutdown, DRAIN);
    tokio::select! {
        result = served => result,
        () = upkeep => Ok(()),
    }
}

fn router(readiness: Readiness, handle: PrometheusHandle) -> Router {
    Router::new()
        .route("/healthz", get(async || Json(json!({ "status": "ok" }))))
        .route("/readyz", get(readyz))
        .with_state(readiness)
        .route("/metrics", get(async move || render(&handle)))
}

async fn readyz(State(readiness): State<Readiness>) -> Response {
    let report = readiness.report().await;
    let status = match report.status {
        ReadinessStatus::Ready => StatusCode::OK,
        ReadinessStatus::NotReady => StatusCode::SERVICE_UNAVAILABLE,
    };
    (status, Json(report)).into_response()
}

fn render(handle: &PrometheusHandle) -> Response {
    ([(header::CONTENT_TYPE, METRICS_TYPE)], handle.render()).into_response()
}
