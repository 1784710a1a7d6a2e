//! `unity bench`: Unity measured on the machine at hand.

use anyhow::Result;

use crate::{args::BenchFlags, bench, process::shutdown_signal};

pub(super) async fn run(flags: BenchFlags) -> Result<()> {
    bench::run(&flags, shutdown_signal()?).await
}
