//! The figures as a table for people: ours, the limit of the same machine in the same run, and how
//! much of it is reached.

use std::fmt::Write as _;

use serde_json::Value;

use super::figure::{Figure, rounded};

/// Markdown of all figures, in the order in which they were taken.
pub(super) fn markdown(figures: &[Figure]) -> String {
    let mut text = String::new();
    if let Some(first) = figures.first() {
        let host = first.host;
        let _ = writeln!(
            text,
            "{} cores, {} GB; PostgreSQL {}, Redis {}; {} runs each.\n",
            host.cores,
            host.memory_gb,
            setting(first, "postgresql"),
            setting(first, "redis"),
            first.runs.len(),
        );
    }
    text.push_str(
        "| scenario | figure | median (min..max) | limit of the machine | ratio | settings |\n",
    );
    text.push_str("|---|---|---:|---:|---:|---|\n");
    for figure in figures {
        let limit = figure.limit.and_then(|name| find(figures, name));
        let _ = writeln!(
            text,
            "| {} | {} | {} ({}..{}) {} | {} | {} | {} |",
            figure.scenario,
            figure.name,
            rounded(figure.median),
            rounded(figure.min),
            rounded(figure.max),
            figure.unit.as_str(),
            limit.map(limit_cell).unwrap_or_default(),
            limit
                .map(|limit| rounded(figure.median / limit.median))
                .unwrap_or_default(),
            settings_cell(figure),
        );
    }
    text
}

fn find<'a>(figures: &'a [Figure], name: &str) -> Option<&'a Figure> {
    figures.iter().find(|figure| figure.name == name)
}

fn limit_cell(limit: &Figure) -> String {
    let (value, unit) = (rounded(limit.median), limit.unit.as_str());
    format!("{value} {unit} ({})", limit.name)
}

/// What every line of a run shares is said once, above the table.
const SHARED: [&str; 8] = [
    "postgresql",
    "redis",
    "fsync",
    "synchronous_commit",
    "jit",
    "appendonly",
    "private_servers",
    "debug_build",
];

fn settings_cell(figure: &Figure) -> String {
    let own = figure
        .settings
        .iter()
        .filter(|(name, _)| !SHARED.contains(&name.as_str()));
    let parts: Vec<String> = own
        .map(|(name, value)| format!("{name} {}", shown(value)))
        .collect();
    parts.join(", ")
}

fn setting(figure: &Figure, name: &str) -> String {
    figure.settings.get(name).map(shown).unwrap_or_default()
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(
            || number.to_string(),
            |value| {
                if value.fract().abs() < f64::EPSILON {
                    format!("{value}")
                } else {
                    rounded(value)
                }
            },
        ),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::super::{
        figure::{Reading, Unit, figures_of},
        host::Host,
        scenario::Scenario,
    };
    use super::*;

    #[test]
    fn a_figure_stands_beside_its_limit() {
        let (settings, host) = (Map::new(), Host::look());
        let readings = vec![
            Reading::new("the most", 200.0, Unit::RowsPerSecond),
            Reading::new("ours", 50.0, Unit::JobsPerSecond)
                .with("connections", 64)
                .against("the most"),
        ];
        let text = markdown(&figures_of(
            Scenario::Drain,
            vec![readings],
            &settings,
            host,
        ));
        let line = text.lines().last().unwrap();
        assert_eq!(
            line,
            "| drain | ours | 50.0 (50.0..50.0) jobs/s | 200 rows/s (the most) | 0.250 | connections 64 |"
        );
    }
}
