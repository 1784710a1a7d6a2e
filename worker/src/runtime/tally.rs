//! What is counted of attempts, by kind and outcome.

use std::{collections::HashMap, time::Duration};

use metrics::{Counter, Histogram};
use unity_shared::jobs::AttemptOutcome;

/// The meters of every kind that is registered. They are looked up once: to do so for each attempt costs
/// as much as all else that is done for a short job.
#[derive(Clone)]
pub(super) struct Tally(HashMap<&'static str, OfKind>);

/// What a worker's attempt can come to; that one has crashed is told by who rescues its job.
const OUTCOMES: [AttemptOutcome; 6] = [
    AttemptOutcome::Succeeded,
    AttemptOutcome::Failed,
    AttemptOutcome::Retried,
    AttemptOutcome::Snoozed,
    AttemptOutcome::HandedBack,
    AttemptOutcome::Cancelled,
];

#[derive(Clone)]
struct OfKind {
    seconds: Histogram,
    outcomes: [(AttemptOutcome, Counter); OUTCOMES.len()],
}

impl Tally {
    pub(super) fn of(kinds: &[&'static str]) -> Self {
        let counter = |kind: &'static str, outcome: AttemptOutcome| metrics::counter!("unity_job_attempts_total", "kind" => kind, "outcome" => outcome.as_str());
        let meters = |kind: &'static str| OfKind {
            seconds: metrics::histogram!("unity_job_attempt_seconds", "kind" => kind),
            outcomes: OUTCOMES.map(|outcome| (outcome, counter(kind, outcome))),
        };
        Self(kinds.iter().map(|kind| (*kind, meters(kind))).collect())
    }

    /// Counts an attempt.
    pub(super) fn count(&self, kind: &str, outcome: AttemptOutcome, ran: Duration) {
        let Some(of_kind) = self.0.get(kind) else {
            return;
        };
        of_kind.seconds.record(ran.as_secs_f64());
        let counter = of_kind.outcomes.iter().find(|(known, _)| *known == outcome);
        if let Some((_, counter)) = counter {
            counter.increment(1);
        }
    }
}
