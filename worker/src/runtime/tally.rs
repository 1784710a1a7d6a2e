//! What is counted of attempts, by kind and outcome.

use std::{collections::HashMap, time::Duration};

use metrics::{Counter, Histogram};
use unity_shared::jobs::Verdict;

/// The meters of every kind that is registered. They are looked up once: to do so for each attempt costs
/// as much as all else that is done for a short job.
#[derive(Clone)]
pub(super) struct Tally(HashMap<&'static str, OfKind>);

#[derive(Clone)]
struct OfKind {
    seconds: Histogram,
    outcomes: [(&'static str, Counter); OUTCOMES.len()],
}

const OUTCOMES: [&str; 6] = [
    "succeeded",
    "failed",
    "retried",
    "snoozed",
    "handed_back",
    "cancelled",
];

impl Tally {
    pub(super) fn of(kinds: &[&'static str]) -> Self {
        let meters = |kind: &'static str| {
            OfKind {
            seconds: metrics::histogram!("unity_job_attempt_seconds", "kind" => kind),
            outcomes: OUTCOMES.map(|outcome| {
                let counter = metrics::counter!("unity_job_attempts_total", "kind" => kind, "outcome" => outcome);
                (outcome, counter)
            }),
        }
        };
        Self(kinds.iter().map(|kind| (*kind, meters(kind))).collect())
    }

    /// Counts an attempt.
    pub(super) fn count(&self, kind: &str, outcome: &str, ran: Duration) {
        let Some(of_kind) = self.0.get(kind) else {
            return;
        };
        of_kind.seconds.record(ran.as_secs_f64());
        let counter = of_kind.outcomes.iter().find(|(name, _)| *name == outcome);
        if let Some((_, counter)) = counter {
            counter.increment(1);
        }
    }
}

/// The outcome that a verdict stands for.
pub(super) const fn outcome_of(verdict: &Verdict) -> &'static str {
    let [succeeded, failed, retried, snoozed, handed_back, cancelled] = OUTCOMES;
    match verdict {
        Verdict::Succeeded(_) => succeeded,
        Verdict::Failed(_) => failed,
        Verdict::Retry(..) => retried,
        Verdict::Snoozed(_) => snoozed,
        Verdict::HandedBack => handed_back,
        Verdict::Cancelled(_) => cancelled,
    }
}
