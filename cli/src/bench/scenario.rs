//! What can be measured: one line here and one file for each.

use anyhow::Result;
use clap::{ValueEnum, builder::PossibleValue};

use super::{
    Bench, drain, enqueue, fairness, figure::Reading, growth, idle, latency, limits, status,
};

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// What the machine gives by itself.
    Limits,
    /// Jobs taken in over HTTP, one by one and in batches.
    Enqueue,
    /// Jobs that wait already, carried out by one worker process.
    Drain,
    /// From the answer to an order to the end of its job, on a quiet fleet.
    Latency,
    /// A few jobs of one tenant behind thousands of another's.
    Fairness,
    /// Looking how a job is doing.
    Status,
    /// What a stack costs that has nothing to do.
    Idle,
    /// Whether a job costs more when more jobs or more tenants wait.
    Growth,
}

/// One scenario, or every one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    One(Scenario),
    /// Every one, with the limits of the machine in the same run.
    All,
    /// No measurement: processes are killed and servers taken away, and what is lost is counted.
    Faults,
}

impl Choice {
    pub(super) fn scenarios(self) -> Vec<Scenario> {
        match self {
            Self::One(scenario) => vec![scenario],
            Self::All => Scenario::value_variants().to_vec(),
            Self::Faults => Vec::new(),
        }
    }
}

impl ValueEnum for Choice {
    fn value_variants<'a>() -> &'a [Self] {
        const { &Self::VARIANTS }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::One(scenario) => scenario.to_possible_value(),
            Self::All => Some(PossibleValue::new("all").help("Every one, and their table")),
            Self::Faults => Some(
                PossibleValue::new("faults")
                    .help("Kills processes, takes servers away, and counts what is lost"),
            ),
        }
    }
}

impl Choice {
    const VARIANTS: [Self; 10] = [
        Self::One(Scenario::Limits),
        Self::One(Scenario::Enqueue),
        Self::One(Scenario::Drain),
        Self::One(Scenario::Latency),
        Self::One(Scenario::Fairness),
        Self::One(Scenario::Status),
        Self::One(Scenario::Idle),
        Self::One(Scenario::Growth),
        Self::All,
        Self::Faults,
    ];
}

impl Scenario {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Limits => "limits",
            Self::Enqueue => "enqueue",
            Self::Drain => "drain",
            Self::Latency => "latency",
            Self::Fairness => "fairness",
            Self::Status => "status",
            Self::Idle => "idle",
            Self::Growth => "growth",
        }
    }

    /// One repetition.
    pub(super) async fn run(self, bench: &Bench) -> Result<Vec<Reading>> {
        match self {
            Self::Limits => limits::run(bench).await,
            Self::Enqueue => enqueue::run(bench).await,
            Self::Drain => drain::run(bench).await,
            Self::Latency => latency::run(bench).await,
            Self::Fairness => fairness::run(bench).await,
            Self::Status => status::run(bench).await,
            Self::Idle => idle::run(bench).await,
            Self::Growth => growth::run(bench).await,
        }
    }
}
