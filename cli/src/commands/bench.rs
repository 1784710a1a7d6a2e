//! `unity bench`: Unity measured on the machine at hand.

use anyhow::Result;
use unity_shared::{config::Settings, telemetry::start_logging};

use super::runtime;
use crate::{
    args::{BenchFlags, GlobalFlags},
    bench,
    process::shutdown_signal,
};

pub(super) fn run(global: &GlobalFlags, flags: &BenchFlags) -> Result<()> {
    let mut settings = global.settings(&())?;
    if settings.log == Settings::default().log {
        // Slow statements are what is measured here, and nothing to warn of.
        "warn,sqlx=error".clone_into(&mut settings.log);
    }
    start_logging(settings.log_format, &settings.log)?;
    runtime()?.block_on(async { bench::run(flags, shutdown_signal()?).await })
}
