//! `unity`: one binary for every process.

use std::process::ExitCode;

use clap::Parser;
use unity_cli::{args::Args, commands};
use unity_shared::telemetry::chain;

/// A request or a job is many small values that one thread makes and another drops; the system's
/// allocator spends as much time on them as we do.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    match commands::run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what failed, on what, and what to do.
            eprintln!("unity: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}
