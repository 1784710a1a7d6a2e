//! `unity bench`: Unity measured as its users drive it, over HTTP with keys, on durable servers.
//!
//! | file | what |
//! |---|---|
//! | `scenario` | the list of what can be measured; each has a file of its own name |
//! | `figure`, `host` | a reading, a figure over its repetitions, the machine |
//! | `ground`, `resp` | servers, a database for each repetition; the least Redis client |
//! | `stack`, `part` | Unity's processes beside this one |
//! | `tenants`, `orders`, `rows` | who asks, for what, and what became of it |
//! | `load`, `http` | the load, and the least HTTP client |
//! | `limits` | what the machine gives by itself |

mod drain;
mod enqueue;
mod fairness;
mod figure;
mod ground;
mod host;
mod http;
mod latency;
mod limits;
mod load;
mod orders;
mod part;
mod resp;
mod rows;
mod scenario;
mod stack;
mod status;
mod tenants;

use std::{io::Write as _, time::Duration};

use anyhow::{Result, bail};
use tokio_util::sync::CancellationToken;

use self::{
    figure::{Figure, figures_of, rounded},
    ground::Ground,
    host::Host,
};
use crate::args::BenchFlags;

pub use self::scenario::{Choice, Scenario};

/// What the scenarios measure with.
pub(crate) struct Bench {
    ground: Ground,
    sizes: Sizes,
    /// Jobs at once in the worker that drains.
    concurrency: u32,
}

/// How much is measured. The figures in the documents are taken at the defaults.
struct Sizes {
    /// How long a load is kept up.
    load: Duration,
    /// How many jobs a drain takes.
    jobs: usize,
}

/// Measures, and prints one JSON line for each figure.
pub async fn run(flags: &BenchFlags, shutdown: CancellationToken) -> Result<()> {
    refuse_debug_build(flags)?;
    let bench = Bench {
        ground: Ground::prepare(flags).await?,
        sizes: Sizes {
            load: Duration::from_secs_f64(flags.seconds),
            jobs: flags.jobs,
        },
        concurrency: flags.concurrency,
    };
    let outcome = tokio::select! {
        outcome = measure(&bench, flags) => outcome.map(|_figures| ()),
        () = shutdown.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    bench.ground.leave().await?;
    outcome
}

async fn measure(bench: &Bench, flags: &BenchFlags) -> Result<Vec<Figure>> {
    let mut settings = bench.ground.facts().await?;
    settings.insert("debug_build".to_owned(), cfg!(debug_assertions).into());
    let mut all = Vec::new();
    for scenario in flags.scenario.scenarios() {
        let host = Host::look();
        let mut repetitions = Vec::new();
        for number in 1..=flags.repeat {
            let name = scenario.as_str();
            say(&format!("{name}: {number} of {}", flags.repeat));
            let readings = scenario.run(bench).await?;
            for reading in &readings {
                let (value, unit) = (rounded(reading.value), reading.unit.as_str());
                say(&format!("  {}: {value} {unit}", reading.figure));
            }
            repetitions.push(readings);
        }
        for figure in figures_of(scenario, repetitions, &settings, host) {
            print(&figure)?;
            all.push(figure);
        }
    }
    Ok(all)
}

fn print(figure: &Figure) -> Result<()> {
    let line = serde_json::to_string(figure)?;
    writeln!(std::io::stdout().lock(), "{line}")?;
    Ok(())
}

fn refuse_debug_build(flags: &BenchFlags) -> Result<()> {
    if cfg!(debug_assertions) && !flags.debug_build_anyway {
        bail!(
            "this is a debug build, many times slower than what users run: build with --release, \
             or say --debug-build-anyway to see that the bench works"
        );
    }
    Ok(())
}

/// Progress, for whoever watches. A reader that has gone is no reason to stop.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
