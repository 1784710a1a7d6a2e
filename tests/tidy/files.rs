//! Files: their first line, their length, their names.

use super::tree::{production_lines, rust_sources};

const LONGEST: usize = 500;
/// Names that say nothing about what is inside, so that everything ends up there.
const EMPTY_NAMES: [&str; 5] = ["utils", "common", "helpers", "models", "types"];

#[test]
fn every_source_begins_by_saying_what_it_is_for() {
    let faults: Vec<String> = rust_sources()
        .iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| {
            format!(
                "{}:1: begin with a line `//! ...` that says what the file does",
                source.path
            )
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn no_source_is_longer_than_500_lines_without_its_tests() {
    let mut lengths: Vec<(usize, String)> = rust_sources()
        .into_iter()
        .filter(super::tree::Source::is_production)
        .map(|source| (production_lines(&source.text).len(), source.path))
        .collect();
    lengths.sort();
    let at = |share: usize| &lengths[(lengths.len() - 1) * share / 100];
    println!(
        "{} sources; lines without tests: median {}, p95 {} ({}), longest {} ({})",
        lengths.len(),
        at(50).0,
        at(95).0,
        at(95).1,
        at(100).0,
        at(100).1
    );
    let faults: Vec<String> = lengths
        .iter()
        .filter(|(length, _)| *length > LONGEST)
        .map(|(length, path)| {
            format!("{path}:{LONGEST}: {length} lines; give its second subject a file")
        })
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn empty_names(path: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let parts = path.split('/').map(|part| part.trim_end_matches(".rs"));
    for name in parts.filter(|part| EMPTY_NAMES.contains(part)) {
        faults.push(format!(
            "{path}: rename {name} after the one thing that it holds"
        ));
    }
    for (index, line) in text.lines().enumerate() {
        let declared = line
            .trim_start()
            .trim_start_matches("pub ")
            .trim_start_matches("pub(crate) ");
        let name = declared
            .strip_prefix("mod ")
            .map(|rest| rest.trim_end_matches([';', '{', ' ']));
        if name.is_some_and(|name| EMPTY_NAMES.contains(&name)) {
            faults.push(format!(
                "{path}:{}: name the module after the one thing that it holds",
                index + 1
            ));
        }
    }
    faults
}

#[test]
fn no_module_is_named_for_what_is_left_over() {
    let faults: Vec<String> = rust_sources()
        .iter()
        .flat_map(|source| empty_names(&source.path, &source.text))
        .collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert_eq!(empty_names("api/src/utils.rs", "").len(), 1);
    assert_eq!(empty_names("api/src/helpers/mod.rs", "").len(), 1);
    assert_eq!(
        empty_names("a.rs", "mod a;\npub mod common;\nmod types {").len(),
        2
    );
    assert_eq!(empty_names("a.rs", "mod commons;\nlet types = 1;").len(), 0);
}

/// A test that waits for a while passes on one machine and fails on another.
#[test]
fn no_test_sleeps_instead_of_waiting_for_something() {
    let call = ["sleep", "("].concat();
    let mut faults = Vec::new();
    for source in rust_sources()
        .iter()
        .filter(|source| source.path.starts_with("tests/"))
    {
        // The pause between two looks at a level.
        if source.path.starts_with("tests/harness/") {
            continue;
        }
        for (index, line) in source.text.lines().enumerate() {
            let code = super::tree::code(line);
            if code.contains(&format!("::{call}")) || code.trim_start().starts_with(&call) {
                let path = &source.path;
                faults.push(format!(
                    "{path}:{}: wait for what shall be true, with eventually",
                    index + 1
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
