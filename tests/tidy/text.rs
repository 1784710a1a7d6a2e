//! Words: nothing postponed without a number, no test switched off, no link into nowhere.

use std::collections::BTreeSet;

use super::tree::{Source, root, sources};

/// Put together, so that this file does not find itself.
fn marks() -> [String; 2] {
    [["TO", "DO"].concat(), ["FIX", "ME"].concat()]
}

fn switched_off() -> [String; 3] {
    [
        ["#[ign", "ore"].concat(),
        ["to", "do!("].concat(),
        ["unimpl", "emented!("].concat(),
    ]
}

fn postponed(line: &str) -> bool {
    marks().iter().any(|mark| {
        line.match_indices(mark).any(|(start, _)| {
            let is_word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let rest = &line[start + mark.len()..];
            let alone =
                !is_word(line[..start].chars().next_back()) && !is_word(rest.chars().next());
            let number = rest.trim_start_matches([' ', '(']).strip_prefix('#');
            let numbered =
                number.is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
            alone && !numbered
        })
    })
}

#[test]
fn what_is_postponed_has_the_number_of_its_issue() {
    let mut faults = Vec::new();
    for source in sources() {
        for (index, line) in source.text.lines().enumerate() {
            if postponed(line) {
                faults.push(format!(
                    "{}:{}: do it, or name the issue: {}",
                    source.path,
                    index + 1,
                    line.trim()
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let [mark, _] = marks();
    for bad in [
        format!("// {mark}: later"),
        format!("-- {mark} soon"),
        format!("{mark}(#x)"),
    ] {
        assert!(postponed(&bad), "{bad}");
    }
    for good in [
        format!("// {mark}(#12): later"),
        format!("# {mark} #7"),
        format!("{mark}S"),
        String::new(),
    ] {
        assert!(!postponed(&good), "{good}");
    }
}

#[test]
fn no_test_is_switched_off_and_no_code_is_left_out() {
    let mut faults = Vec::new();
    for source in sources().iter().filter(|source| source.is("rs")) {
        for (index, line) in source.text.lines().enumerate() {
            let code = super::tree::code(line);
            for word in switched_off()
                .iter()
                .filter(|word| code.contains(word.as_str()))
            {
                faults.push(format!(
                    "{}:{}: {word} says that something is missing; write or remove it",
                    source.path,
                    index + 1
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The text of a document with its numbered lines, without blocks of code.
fn prose(text: &str) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut lines = Vec::new();
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            inside = !inside;
        } else if !inside {
            lines.push((index + 1, line.to_owned()));
        }
    }
    lines
}

/// The line's parts between single backquotes, and the line without them.
fn split_code(line: &str) -> (Vec<String>, String) {
    let (mut quoted, mut rest) = (Vec::new(), String::new());
    for (index, part) in line.split('`').enumerate() {
        if index % 2 == 1 {
            quoted.push(part.to_owned());
        } else {
            rest.push_str(part);
        }
    }
    (quoted, rest)
}

/// Targets of `[text](target)` and `[name]: target`.
fn links(line: &str) -> Vec<String> {
    let mut found: Vec<String> = line
        .split("](")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once(')')?.0.split(' ').next()?.to_owned()))
        .collect();
    if let Some((name, target)) = line.split_once("]: ")
        && name.starts_with('[')
    {
        found.push(target.trim().to_owned());
    }
    found
}

/// A path to a file of the tree that a document names between backquotes, as far as that is certain.
fn named_file(quoted: &str) -> Option<&str> {
    let ends = [".md", ".rs", ".sql", ".lua"]
        .iter()
        .any(|end| quoted.ends_with(end));
    let certain = quoted.contains('/')
        && !quoted.starts_with(['/', '~', '.', '$'])
        && !quoted.contains(['*', '{', '<', ' ', ':', '$'])
        && !quoted.contains("NNNN");
    (ends && certain).then_some(quoted)
}

fn anchor_of(heading: &str) -> String {
    let kept = heading.to_lowercase();
    let kept = kept
        .chars()
        .filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(text: &str) -> BTreeSet<String> {
    let headings = prose(text).into_iter().filter_map(|(_, line)| {
        let title = line.trim_start_matches('#');
        (title.len() < line.len() && title.starts_with(' ')).then(|| anchor_of(title.trim()))
    });
    headings.collect()
}

/// Why a link leads nowhere; absent = it leads somewhere, or out of the tree.
fn broken(document: &Source, target: &str) -> Option<String> {
    if ["http://", "https://", "mailto:"]
        .iter()
        .any(|outside| target.starts_with(outside))
    {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let folder = document
        .path
        .rsplit_once('/')
        .map_or("", |(folder, _)| folder);
    let full = match path {
        "" => root().join(&document.path),
        path => root().join(folder).join(path),
    };
    if !full.exists() {
        return Some(format!("{target} does not exist"));
    }
    if anchor.is_empty() || full.extension().is_none_or(|end| end != "md") {
        return None;
    }
    let found = anchors(&std::fs::read_to_string(full).unwrap()).contains(anchor);
    (!found).then(|| format!("{target} names no heading"))
}

#[test]
fn every_link_and_path_in_a_document_leads_to_a_file() {
    let mut faults = Vec::new();
    for document in sources().iter().filter(|source| source.is("md")) {
        for (number, line) in prose(&document.text) {
            let (quoted, rest) = split_code(&line);
            let missing = quoted
                .iter()
                .filter_map(|part| named_file(part))
                .filter(|path| {
                    let beside = document
                        .path
                        .rsplit_once('/')
                        .map_or("", |(folder, _)| folder);
                    !root().join(path).exists() && !root().join(beside).join(path).exists()
                });
            let missing = missing.map(|path| format!("{path} does not exist"));
            let broken = links(&rest)
                .into_iter()
                .filter_map(|target| broken(document, &target));
            for fault in broken.chain(missing) {
                faults.push(format!(
                    "{}:{number}: {fault}; mend or remove it",
                    document.path
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn links_and_paths_are_found_where_they_are() {
    assert_eq!(
        links("see [a](b.md) and [c](d/e.md#f \"title\")"),
        ["b.md", "d/e.md#f"]
    );
    assert_eq!(links("[name]: target.md"), ["target.md"]);
    assert_eq!(prose("a\n```\n[x](y)\n```\nb").len(), 2);
    assert_eq!(split_code("a `b` c").0, ["b"]);
    assert_eq!(named_file("shared/src/ids.rs"), Some("shared/src/ids.rs"));
    assert_eq!(named_file("docs/adr/NNNN-title.md"), None);
    assert_eq!(named_file("GET /jobs"), None);
    let document = Source {
        path: "migrations/README.md".to_owned(),
        text: String::new(),
    };
    for good in [
        "../Cargo.toml",
        "README.md",
        "#names",
        "README.md#query-metadata",
        "https://example.com/x",
    ] {
        assert_eq!(broken(&document, good), None, "{good}");
    }
    for bad in ["nothing.md", "Cargo.toml", "#nothing", "README.md#nothing"] {
        assert!(broken(&document, bad).is_some(), "{bad}");
    }
}
