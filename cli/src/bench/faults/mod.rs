//! `unity bench faults`: processes are killed and servers taken away under load, and then it is counted
//! what became of every job that was taken in.
//!
//! | file | what |
//! |---|---|
//! | `drill` | the list of faults |
//! | `fleet` | the processes and servers that they befall |
//! | `load` | clients that ask again until they are answered |
//! | `count` | what the record says afterwards |

mod count;
mod drill;
mod fleet;
mod load;

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use serde::Serialize;
use unity_shared::telemetry::chain;

use self::{drill::Drill, fleet::Fleet, load::Asked};
use super::{Bench, host::Host, say};
use crate::args::BenchFlags;

/// What a drill came to.
#[derive(Debug, Serialize)]
struct Report {
    scenario: &'static str,
    drill: &'static str,
    #[serde(flatten)]
    counted: count::Counted,
    #[serde(flatten)]
    asked: Asked,
    /// From the end of the fault until no job was left.
    seconds_to_recover: f64,
    tenants: usize,
    debug_build: bool,
    host: Host,
}

/// Tenants where the command says nothing.
const TENANTS: usize = 20;

/// Goes through the drills, again and again for as many minutes as were asked for, and prints one JSON
/// line for each. Fails if a job was lost or ended twice, or a limit was exceeded.
pub(super) async fn run(bench: &Bench, flags: &BenchFlags) -> Result<()> {
    let begun = Instant::now();
    let time = flags
        .minutes
        .map(|minutes| Duration::from_secs_f64(minutes * 60.0));
    let tenants = flags.tenants.unwrap_or(TENANTS);
    let mut fleet = Fleet::start(bench, tenants).await?;
    let mut broken = Vec::new();
    'rounds: loop {
        for drill in Drill::ALL {
            if !bench.wants(drill.name()) || (drill.needs_own_servers() && !fleet.owns_servers()) {
                continue;
            }
            say(drill.name());
            let report = match drill.run(&mut fleet, bench.sizes.load).await {
                Ok(report) => report,
                Err(error) => {
                    say(&format!("{}: {}", drill.name(), chain(error.as_ref())));
                    say(&bench.ground.take_logs());
                    broken.push(drill.name());
                    break 'rounds;
                }
            };
            writeln!(
                std::io::stdout().lock(),
                "{}",
                serde_json::to_string(&report)?
            )?;
            if !report.counted.is_clean() {
                broken.push(drill.name());
            }
        }
        if time.is_none_or(|time| begun.elapsed() >= time) {
            break;
        }
    }
    let ended = fleet.end().await;
    ensure!(
        broken.is_empty(),
        "promises were broken: {}",
        broken.join(", ")
    );
    ended
}
