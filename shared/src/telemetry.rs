//! Log lines: structured, to standard error, as text or JSON.
//!
//! Field names are the same everywhere: `request_id`, `tenant_id`, `job_id`, `worker_id`, `attempt`.
//! They are put on a span once and appear on every line inside it.

use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

use crate::config::LogFormat;

/// Why logging could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The `log` setting is not a filter.
    #[error("the setting log is not a filter")]
    Filter(#[source] tracing_subscriber::filter::ParseError),
    /// Something else in this process has set logging up.
    #[error("logging is set up already")]
    Installed(#[source] tracing_subscriber::util::TryInitError),
}

/// Sends this process's log lines to standard error. Call once, first.
pub fn start_logging(format: LogFormat, filter: &str) -> Result<(), TelemetryError> {
    let filter = EnvFilter::try_new(filter).map_err(TelemetryError::Filter)?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match format {
        LogFormat::Text => registry.with(lines).try_init(),
        LogFormat::Json => registry
            .with(
                lines
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(true),
            )
            .try_init(),
    }
    .map_err(TelemetryError::Installed)
}

/// An error with everything that caused it, for the one line that reports it. A cause that an outer
/// text ends with already, as some drivers write it, is not said twice.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.ends_with(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("could not connect: {0}")]
    struct Driver(#[source] std::io::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("could not claim")]
    struct Ours(#[source] Driver);

    #[test]
    fn a_chain_says_every_cause_once() {
        let error = Ours(Driver(std::io::Error::other("refused")));
        assert_eq!(chain(&error), "could not claim: could not connect: refused");
    }
}
