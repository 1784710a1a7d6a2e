//! What an answer must be, whatever was asked.

use std::collections::BTreeMap;

use serde_json::Value;

use super::requests::Request;
use crate::{
    harness::Answer,
    surface::{contract::schema, operations::Operation},
};

/// Words of what is inside. A caller's own text may hold them, so they are looked for in answers to
/// requests that do not.
const INSIDE: [&str; 16] = [
    "sqlx",
    "SELECT ",
    "INSERT ",
    "UPDATE ",
    "relation \"",
    "violates",
    "pg_",
    "panicked",
    ".rs:",
    "serde",
    "tokio",
    "struct ",
    "variant",
    " i64",
    " u64",
    " usize",
];
/// Faults of one sort that are shown.
const SHOWN: usize = 3;

#[derive(Default)]
pub struct Findings {
    pub judged: usize,
    /// By operation and sort.
    faults: BTreeMap<(String, String), Vec<String>>,
}

impl Findings {
    /// Absent = nothing came in time.
    pub fn judge(
        &mut self,
        document: &Value,
        operation: &Operation,
        role: &str,
        request: &Request,
        answer: Option<&Answer>,
    ) {
        self.judged += 1;
        let mut note = |sort: String, shown: &str| {
            let place = (operation.name.clone(), sort);
            let shown: String = shown.chars().take(400).collect();
            let line = format!("{role}: {}: {shown}", request.told());
            self.faults.entry(place).or_default().push(line);
        };
        let Some(answer) = answer else {
            if !request.waits() {
                note("no answer".to_owned(), "");
            }
            return;
        };
        let status = answer.status.as_u16();
        if status >= 500 {
            note(format!("{status}"), &answer.text);
        }
        let described = &schema::described(document, &operation.name)["responses"];
        if !request.is_astray && described.get(status.to_string()).is_none() {
            note(format!("{status} is not in the document"), &answer.text);
        }
        if (400..500).contains(&status) {
            for fault in faults_of_problem(request, answer) {
                note(fault, &answer.text);
            }
        } else if !request.is_astray
            && !answer
                .header("content-type")
                .starts_with("text/event-stream")
        {
            for fault in schema::faults(document, &operation.name, answer) {
                note(fault, &answer.text);
            }
        }
    }

    pub fn assert_none(&self) {
        let lines = self.faults.iter().map(|((operation, sort), all)| {
            let shown = all.iter().take(SHOWN).cloned().collect::<Vec<_>>();
            format!(
                "{operation}: {sort} ({} times)\n    {}",
                all.len(),
                shown.join("\n    ")
            )
        });
        let lines: Vec<String> = lines.collect();
        assert!(
            lines.is_empty(),
            "{} sorts of faults:\n{}",
            lines.len(),
            lines.join("\n")
        );
    }
}

fn faults_of_problem(request: &Request, answer: &Answer) -> Vec<String> {
    let mut faults = Vec::new();
    if answer.header("content-type") != "application/problem+json" {
        faults.push(format!("a problem as {:?}", answer.header("content-type")));
    }
    if answer.json["status"] != answer.status.as_u16() {
        faults.push("a problem of another status".to_owned());
    }
    for field in ["type", "title", "detail", "instance", "code", "request_id"] {
        if !answer.json[field].is_string() {
            faults.push(format!("a problem without {field}"));
        }
    }
    for word in INSIDE {
        if answer.text.contains(word) && !request.holds(word) {
            faults.push(format!("{word:?} in a problem"));
        }
    }
    // A caller's own nonsense must not come back at length.
    if answer.text.len() > 100_000 {
        faults.push(format!("a problem of {} bytes", answer.text.len()));
    }
    faults
}
