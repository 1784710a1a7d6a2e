//! Figures: one reading for each repetition, and what is said about them together.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Map, Value};

use super::{load::percentile, scenario::Scenario};

/// What one repetition of a scenario gives.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// The figure's name, unique in its scenario.
    pub(super) figure: String,
    pub(super) value: f64,
    pub(super) unit: Unit,
    /// What the figure depends on and was chosen.
    pub(super) settings: Map<String, Value>,
    /// The figure of the scenario `limits` that this one cannot pass.
    pub(super) limit: Option<&'static str>,
}

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) enum Unit {
    #[serde(rename = "jobs/s")]
    JobsPerSecond,
    #[serde(rename = "requests/s")]
    RequestsPerSecond,
    #[serde(rename = "rows/s")]
    RowsPerSecond,
    #[serde(rename = "calls/s")]
    CallsPerSecond,
    #[serde(rename = "ms")]
    Milliseconds,
    #[serde(rename = "s")]
    Seconds,
    #[serde(rename = "% of a core")]
    PercentOfCore,
    #[serde(rename = "µs of a core")]
    CoreMicroseconds,
    #[serde(rename = "%")]
    Percent,
}

impl Unit {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::JobsPerSecond => "jobs/s",
            Self::RequestsPerSecond => "requests/s",
            Self::RowsPerSecond => "rows/s",
            Self::CallsPerSecond => "calls/s",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::PercentOfCore => "% of a core",
            Self::CoreMicroseconds => "µs of a core",
            Self::Percent => "%",
        }
    }
}

impl Reading {
    pub(super) fn new(figure: impl Into<String>, value: f64, unit: Unit) -> Self {
        Self {
            figure: figure.into(),
            value,
            unit,
            settings: Map::new(),
            limit: None,
        }
    }

    /// With a setting that the value depends on.
    pub(super) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.settings.insert(name.to_owned(), value.into());
        self
    }

    /// With the limit of the machine that the value is to be seen against.
    pub(super) const fn against(mut self, limit: &'static str) -> Self {
        self.limit = Some(limit);
        self
    }
}

/// A figure over all repetitions, as it is printed.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Figure {
    pub(super) scenario: &'static str,
    #[serde(rename = "figure")]
    pub(super) name: String,
    /// The median of the runs.
    pub(super) value: f64,
    pub(super) unit: Unit,
    pub(super) settings: Map<String, Value>,
    /// In the order in which they were taken.
    pub(super) runs: Vec<f64>,
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) host: super::host::Host,
    #[serde(skip)]
    pub(super) limit: Option<&'static str>,
}

/// Brings the repetitions together, in the order in which the figures were first read.
pub(super) fn figures_of(
    scenario: Scenario,
    repetitions: Vec<Vec<Reading>>,
    settings: &Map<String, Value>,
    host: super::host::Host,
) -> Vec<Figure> {
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let mut gathered: Vec<(Reading, Vec<f64>)> = Vec::new();
    for reading in repetitions.into_iter().flatten() {
        let value = reading.value;
        let next = gathered.len();
        let place = *places.entry(reading.figure.clone()).or_insert(next);
        match gathered.get_mut(place) {
            Some((_, runs)) => runs.push(value),
            None => gathered.push((reading, vec![value])),
        }
    }
    let figures = gathered.into_iter().map(|(reading, runs)| {
        let mut settings = settings.clone();
        settings.extend(reading.settings);
        let mut ascending = runs.clone();
        ascending.sort_by(f64::total_cmp);
        let median = median(&ascending);
        Figure {
            scenario: scenario.as_str(),
            name: reading.figure,
            value: median,
            unit: reading.unit,
            settings,
            runs,
            median,
            min: percentile(&ascending, 0.0),
            max: percentile(&ascending, 1.0),
            host,
            limit: reading.limit,
        }
    });
    figures.collect()
}

fn median(ascending: &[f64]) -> f64 {
    let upper = ascending.len() / 2;
    let at = |index: usize| ascending.get(index).copied().unwrap_or(0.0);
    if ascending.len() % 2 == 1 {
        at(upper)
    } else {
        f64::midpoint(at(upper.saturating_sub(1)), at(upper))
    }
}

/// Three digits say all that a measurement on a shared machine can know; whole numbers stay whole.
pub(super) fn rounded(value: f64) -> String {
    let size = value.abs();
    if size >= 100.0 {
        format!("{value:.0}")
    } else if size >= 10.0 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else {
        format!("{value:.3}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_of_a_figure_become_one_line_with_their_median() {
        let run = |value| {
            vec![
                Reading::new("a", value, Unit::Seconds).with("n", 1),
                Reading::new("b", 1.0, Unit::Seconds),
            ]
        };
        let runs = vec![run(3.0), run(1.0), run(2.0)];
        let host = super::super::host::Host::look();
        let figures = figures_of(Scenario::Drain, runs, &Map::new(), host);
        let [a, b] = &figures[..] else {
            panic!("{figures:?}");
        };
        assert_eq!(
            (a.median, a.min, a.max, &a.runs[..]),
            (2.0, 1.0, 3.0, &[3.0, 1.0, 2.0][..])
        );
        assert_eq!(b.runs.len(), 3);
        let line = serde_json::to_value(a).unwrap();
        assert_eq!(line["unit"], "s");
        assert_eq!(line["settings"]["n"], 1);
        assert!(line["host"]["cores"].as_u64().unwrap() > 0);
    }

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        assert!((median(&[1.0, 2.0, 4.0, 8.0]) - 3.0).abs() < f64::EPSILON);
        assert!(median(&[]).abs() < f64::EPSILON);
    }
}
