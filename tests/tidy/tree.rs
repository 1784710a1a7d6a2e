//! Reads the tree.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A text file of the tree.
pub struct Source {
    /// From the root of the tree, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// Whether the file is part of what is shipped.
    pub fn is_production(&self) -> bool {
        let is_test = self.path.starts_with("tests/")
            || self.path.contains("/tests/")
            || self.path.contains("/examples/")
            || self.path.ends_with("/tests.rs");
        self.is("rs") && !is_test
    }

    /// Whether the file's name ends in a dot and this.
    pub fn is(&self, extension: &str) -> bool {
        Path::new(&self.path)
            .extension()
            .is_some_and(|end| end == extension)
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_owned()
}

/// Every text file that belongs to the project, in the order of its path.
pub fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&root(), "", &mut found);
    found.sort_by(|one, other| one.path.cmp(&other.path));
    assert!(found.iter().any(|source| source.path == "Cargo.toml"));
    found
}

pub fn rust_sources() -> Vec<Source> {
    sources()
        .into_iter()
        .filter(|source| source.is("rs"))
        .collect()
}

fn walk(folder: &Path, prefix: &str, found: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let path = format!("{prefix}{name}");
        if entry.file_type().unwrap().is_dir() {
            let foreign = name.starts_with("target") || name == "node_modules";
            let hidden = name.starts_with('.') && name != ".ci";
            if !foreign && !hidden {
                walk(&entry.path(), &format!("{path}/"), found);
            }
        } else if let Some(text) = text_of(&entry.path(), &name) {
            found.push(Source { path, text });
        }
    }
}

fn text_of(path: &Path, name: &str) -> Option<String> {
    // Generated, or somebody else's words.
    let generated = path
        .extension()
        .is_some_and(|end| end == "snap" || end == "new");
    if generated || name == "Cargo.lock" || name == "LICENSE" {
        return None;
    }
    fs::read_to_string(path).ok()
}

/// The numbered lines of a source without its test modules.
pub fn production_lines(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut kept = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if lines[at].trim_start().starts_with("#[cfg(test)]") {
            at = end_of_item(&lines, at + 1);
        } else {
            kept.push((at + 1, lines[at]));
            at += 1;
        }
    }
    kept
}

/// The line behind the item that begins at `start`: as the formatter leaves it, its last line is a
/// closing brace under its first one, or it has one line.
fn end_of_item(lines: &[&str], start: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut at = start;
    while at < lines.len() && lines[at].trim_start().starts_with("#[") {
        at += 1;
    }
    let Some(first) = lines.get(at) else {
        return at;
    };
    if first.trim_end().ends_with([';', '}']) {
        return at + 1;
    }
    let own = indent(first);
    let closes = |line: &&str| indent(line) == own && line.trim_start().starts_with('}');
    let length = lines[at..]
        .iter()
        .position(closes)
        .unwrap_or(lines.len() - at - 1);
    at + length + 1
}

/// The line without its comment.
pub fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") {
        return "";
    }
    line.split_once(" // ").map_or(line, |(code, _)| code)
}

/// Whether the line uses the crate: its name as a path's first part. `super::redis::` is a module of
/// one's own.
pub fn uses_crate(line: &str, name: &str) -> bool {
    let code = code(line);
    code.match_indices(name).any(|(start, _)| {
        let before = code[..start].chars().next_back();
        let after = &code[start + name.len()..];
        let begins =
            !before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '"');
        begins
            && (after.starts_with("::")
                || (code.trim_start().starts_with("use ") && after.starts_with(';')))
    })
}

#[test]
fn a_test_module_is_no_production_code() {
    let text = "fn a() {}\n#[cfg(test)]\nmod tests {\n    #[test]\n    fn b() {\n    }\n}\nfn c() {}\n\
                #[cfg(test)]\npub use x::Y;\n#[cfg(test)]\n#[expect(x)]\nmod d;\nfn e() {}\n";
    let kept: Vec<(usize, &str)> = production_lines(text);
    assert_eq!(
        kept,
        [(1, "fn a() {}"), (8, "fn c() {}"), (14, "fn e() {}")]
    );
}

#[test]
fn a_use_of_a_crate_is_told_from_a_module_and_a_comment() {
    for line in [
        "use redis::Script;",
        "    redis::cmd(\"PING\")",
        "fn a(x: &redis::Client) {",
        "use redis;",
    ] {
        assert!(uses_crate(line, "redis"), "{line}");
    }
    for line in [
        "use super::redis::RedisOptions;",
        "// redis::cmd would do",
        "let a = 1; // as redis::cmd",
        "apalis_redis::Config::default()",
        "let redis = 1;",
        "name: \"redis::x\"",
    ] {
        assert!(!uses_crate(line, "redis"), "{line}");
    }
}
