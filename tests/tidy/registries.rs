//! Lists that must be whole: kinds of jobs, migrations, scripts.

use std::{collections::BTreeSet, fs};

use unity_shared::jobs::kinds::KINDS;

use super::tree::{production_lines, root, rust_sources};

fn names_in(folder: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// The lines of production code that hold a text, as `file:line`.
fn places_of(text: &str) -> Vec<String> {
    let mut places = Vec::new();
    for source in rust_sources()
        .iter()
        .filter(|source| source.is_production())
    {
        for (number, line) in production_lines(&source.text) {
            // An example in the published document is not a use of the name.
            if super::tree::code(line).contains(text) && !line.contains("example = ") {
                places.push(format!("{}:{number}", source.path));
            }
        }
    }
    places
}

#[test]
fn every_kind_has_one_file_one_name_and_one_handler() {
    let declared = names_in("shared/src/jobs/kinds");
    let handled = names_in("worker/src/jobs");
    let mut expected = BTreeSet::from(["mod.rs".to_owned()]);
    let mut faults = Vec::new();
    for kind in KINDS {
        let file = format!("{}.rs", kind.name);
        if !declared.contains(&file) {
            faults.push(format!(
                "shared/src/jobs/kinds/mod.rs: {} has no file {file}",
                kind.name
            ));
        }
        if !handled.contains(&file) {
            faults.push(format!(
                "worker/src/jobs/{file}: the handler of {} is missing",
                kind.name
            ));
        }
        if !expected.insert(file) {
            faults.push(format!(
                "shared/src/jobs/kinds/mod.rs: two kinds are named {}",
                kind.name
            ));
        }
        let places = places_of(&format!("\"{}\"", kind.name));
        if places.len() != 1 {
            let name = kind.name;
            faults.push(format!(
                "{name} is written at {}: use its type's NAME everywhere but in its file",
                places.join(", ")
            ));
        }
    }
    for file in declared.difference(&expected) {
        faults.push(format!(
            "shared/src/jobs/kinds/{file}: add its line to KINDS in mod.rs"
        ));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_queue_is_named_once() {
    let mut seen = BTreeSet::new();
    for source in rust_sources()
        .iter()
        .filter(|source| source.is_production())
    {
        for (number, line) in production_lines(&source.text) {
            if let Some(value) = line
                .trim_start()
                .strip_prefix("const QUEUE: &'static str = ")
            {
                let path = &source.path;
                assert!(
                    seen.insert(value.to_owned()),
                    "{path}:{number}: {value} is named elsewhere; refer to that"
                );
            }
        }
    }
    assert!(!seen.is_empty());
}

const VERBS: [&str; 12] = [
    "add", "alter", "backfill", "create", "drop", "extend", "grant", "index", "rename", "revoke",
    "seed", "validate",
];

fn faults_of_migrations(names: &BTreeSet<String>) -> Vec<String> {
    let mut faults = Vec::new();
    let mut next = 1;
    for name in names.iter().filter(|name| *name != "README.md") {
        let rule = "name it NNNN_verb_object.sql, the next number first";
        let Some((number, rest)) = name
            .strip_suffix(".sql")
            .and_then(|stem| stem.split_once('_'))
        else {
            faults.push(format!("migrations/{name}: {rule}"));
            continue;
        };
        if number != format!("{next:04}") {
            faults.push(format!(
                "migrations/{name}: the next number is {next:04}; {rule}"
            ));
        }
        next += 1;
        let (verb, object) = rest.split_once('_').unwrap_or((rest, ""));
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !VERBS.contains(&verb) || object.is_empty() || !object.chars().all(plain) {
            faults.push(format!(
                "migrations/{name}: {rule}; verbs are {}",
                VERBS.join(", ")
            ));
        }
    }
    faults
}

#[test]
fn migrations_are_numbered_without_gaps_and_say_what_they_do() {
    let faults = faults_of_migrations(&names_in("migrations"));
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    for (bad, count) in [
        (&["0001_create_a.sql", "0003_create_b.sql"][..], 1),
        (&["0001_create_a.sql", "0001_create_b.sql"], 1),
        (&["0002_create_a.sql"], 1),
        (&["0001_jobs.sql"], 1),
        (&["0001_create.sql"], 1),
        (&["0001_create_Jobs.sql"], 1),
        (&["1_create_a.sql"], 1),
        (&["notes.txt"], 1),
        (&["0001_create_a.sql", "0002_add_b_c.sql", "README.md"], 0),
    ] {
        let names = bad.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(faults_of_migrations(&names).len(), count, "{bad:?}");
    }
}

#[test]
fn every_script_of_the_gate_is_registered_once() {
    let folder = "shared/src/queue/lua";
    let scripts = fs::read_to_string(root().join("shared/src/queue/scripts.rs")).unwrap();
    let parts = scripts
        .split("include_str!(\"lua/")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap().to_owned());
    let list = scripts.split("scripts!(").nth(1).unwrap();
    let scripts = list.split(')').next().unwrap().split(',').map(str::trim);
    let scripts = scripts
        .filter(|name| !name.is_empty())
        .map(|name| format!("{name}.lua"));
    let included: Vec<String> = parts.chain(scripts).collect();
    let once: BTreeSet<String> = included.iter().cloned().collect();
    assert_eq!(
        once.len(),
        included.len(),
        "shared/src/queue/scripts.rs: a script is included twice: {included:?}"
    );
    assert_eq!(
        once,
        names_in(folder),
        "shared/src/queue/scripts.rs includes what is on the left, {folder} has what is on the right"
    );
}
