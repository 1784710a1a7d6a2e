//! `unity bench`: Unity measured as its users drive it, over HTTP with keys, on durable servers.
//!
//! | file | what |
//! |---|---|
//! | `scenario` | the list of what can be measured; each has a file of its own name |
//! | `figure`, `host` | a reading, a figure over its repetitions, the machine |
//! | `ground`, `resp` | servers, a database for each repetition; the least Redis client |
//! | `stack`, `part`, `served` | Unity's processes beside this one; what this one serves itself |
//! | `tenants`, `orders`, `rows` | who asks, for what, and what became of it |
//! | `load`, `http` | the load, and the least HTTP client |
//! | `backlog`, `processes` | a backlog written straight into the rows; what processes cost |
//! | `faults` | drills: what is killed, and what is counted then |
//! | `table` | the figures for people |

mod backlog;
mod drain;
mod enqueue;
mod fairness;
mod faults;
mod figure;
mod ground;
mod growth;
mod host;
mod http;
mod idle;
mod latency;
mod limits;
mod load;
mod orders;
mod part;
mod processes;
mod resp;
mod rows;
mod scenario;
mod served;
mod stack;
mod status;
mod table;
mod tenants;

use std::{fs::File, io::Write as _, path::Path, time::Duration};

use anyhow::{Context as _, Result, bail, ensure};
use tokio_util::sync::CancellationToken;
use unity_shared::telemetry::chain;

use self::{
    figure::{Reading, figures_of, rounded},
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
    /// Whether `growth` goes on to a million waiting jobs.
    full: bool,
    /// Whether the API limits calls, as it does.
    rate_limits: bool,
    /// Text that a case's name holds if it is to be measured.
    only: Option<String>,
}

/// How much is measured. The figures in the documents are taken at the defaults.
struct Sizes {
    /// How long a load is kept up.
    load: Duration,
    /// How many jobs a drain takes.
    jobs: usize,
    /// How many tenants many are.
    tenants: usize,
}

/// How many tenants many are, unless it is said.
const MANY_TENANTS: usize = 100;

/// Whose jobs a figure is about.
#[derive(Clone, Copy)]
enum Tenants {
    One,
    Many,
}

impl Bench {
    fn wants(&self, case: &str) -> bool {
        self.only.as_ref().is_none_or(|text| case.contains(text))
    }

    fn count(&self, tenants: Tenants) -> usize {
        match tenants {
            Tenants::One => 1,
            Tenants::Many => self.sizes.tenants,
        }
    }

    fn name(&self, tenants: Tenants) -> String {
        match tenants {
            Tenants::One => "1 tenant".to_owned(),
            Tenants::Many => format!("{} tenants", self.sizes.tenants),
        }
    }
}

/// Measures, and prints one JSON line for each figure.
pub async fn run(flags: &BenchFlags, shutdown: CancellationToken) -> Result<()> {
    refuse_debug_build(flags)?;
    let bench = Bench {
        ground: Ground::prepare(flags).await?,
        sizes: Sizes {
            load: Duration::from_secs_f64(flags.seconds),
            jobs: flags.jobs,
            tenants: flags.tenants.unwrap_or(MANY_TENANTS),
        },
        concurrency: flags.concurrency,
        full: flags.full,
        rate_limits: !flags.no_rate_limit,
        only: flags.only.clone(),
    };
    let outcome = tokio::select! {
        outcome = drill_or_measure(&bench, flags) => outcome,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("stopped before the end")),
    };
    bench.ground.leave().await?;
    outcome
}

async fn drill_or_measure(bench: &Bench, flags: &BenchFlags) -> Result<()> {
    match flags.scenario {
        Choice::Faults => faults::run(bench, flags).await,
        Choice::All | Choice::One(_) => measure(bench, flags).await,
    }
}

/// Measures what was chosen. A scenario that fails gives no figure and fails the whole, after the
/// others have been measured.
async fn measure(bench: &Bench, flags: &BenchFlags) -> Result<()> {
    let mut settings = bench.ground.facts().await?;
    settings.insert("debug_build".to_owned(), cfg!(debug_assertions).into());
    settings.insert("rate_limits".to_owned(), bench.rate_limits.into());
    let mut json = flags.json.as_deref().map(create).transpose()?;
    let (mut all, mut failed) = (Vec::new(), Vec::new());
    for scenario in flags.scenario.scenarios() {
        let host = Host::look();
        let repetitions = match repeat(bench, scenario, flags.repeat).await {
            Ok(repetitions) => repetitions,
            Err(error) => {
                say(&format!("{}: {}", scenario.as_str(), chain(error.as_ref())));
                say(&bench.ground.take_logs());
                failed.push(scenario.as_str());
                continue;
            }
        };
        for figure in figures_of(scenario, repetitions, &settings, host) {
            let line = serde_json::to_string(&figure)?;
            writeln!(std::io::stdout().lock(), "{line}")?;
            if let Some(file) = &mut json {
                writeln!(file, "{line}")?;
            }
            all.push(figure);
        }
    }
    if let Some(path) = &flags.out {
        create(path)?.write_all(table::markdown(&all).as_bytes())?;
    }
    ensure!(failed.is_empty(), "no figures of {}", failed.join(", "));
    Ok(())
}

async fn repeat(bench: &Bench, scenario: Scenario, times: u32) -> Result<Vec<Vec<Reading>>> {
    let mut repetitions = Vec::new();
    for number in 1..=times {
        say(&format!("{}: {number} of {times}", scenario.as_str()));
        let readings = scenario.run(bench).await?;
        for reading in &readings {
            let (value, unit) = (rounded(reading.value), reading.unit.as_str());
            say(&format!("  {}: {value} {unit}", reading.figure));
        }
        repetitions.push(readings);
    }
    Ok(repetitions)
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("could not write {}", path.display()))
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
