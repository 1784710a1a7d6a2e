//! One span, one log line and two metrics for every request.

use std::time::Instant;

use axum::{
    extract::{MatchedPath, Request},
    http::Method,
    response::Response,
};
use tracing::{Instrument, field::Empty};

use super::CurrentRequestId;

/// Stands for every path that no route has: a metric must not have a series for each typing error.
const UNMATCHED: &str = "unmatched";

pub async fn trace<F: Future<Output = Response>>(
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let method = method_name(req.method());
    let path = req
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    let request_id = req
        .extensions()
        .get::<CurrentRequestId>()
        .map(|id| id.0.to_string());
    let span = tracing::info_span!(
        "request",
        method,
        path = %path,
        request_id,
        tenant_id = Empty,
        actor = Empty
    );
    async move {
        let begun = Instant::now();
        let response = next(req).await;
        let seconds = begun.elapsed().as_secs_f64();
        let status = response.status().as_u16();
        tracing::info!(status, duration_ms = seconds * 1000.0, "request answered");
        let labels = [
            ("method", method.to_owned()),
            ("path", path),
            ("status", status.to_string()),
        ];
        metrics::counter!("http_requests_total", &labels).increment(1);
        metrics::histogram!("http_request_duration_seconds", &labels).record(seconds);
        response
    }
    .instrument(span)
    .await
}

/// The method as a label. HTTP lets a client invent methods; those share one name.
fn method_name(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}
