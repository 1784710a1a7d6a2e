//! `unity`: one binary for every process.

use std::process::ExitCode;

use clap::Parser;
use unity_cli::{args::Args, commands};
use unity_shared::telemetry::chain;

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
