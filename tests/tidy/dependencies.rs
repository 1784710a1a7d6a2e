//! Which crate may know which.

use std::collections::BTreeSet;

use super::tree::{production_lines, root, rust_sources, uses_crate};

/// A crate of ours, by its folder, and those of ours that it may be built on. In its own tests it may
/// use the simulator besides.
const OURS: &[(&str, &[&str])] = &[
    ("api", &["shared"]),
    (
        "cli",
        &[
            "api",
            "kubernetes",
            "scheduler",
            "shared",
            "simulator",
            "worker",
        ],
    ),
    ("kubernetes", &["shared"]),
    ("scheduler", &["kubernetes", "shared"]),
    ("shared", &[]),
    ("simulator", &[]),
    ("worker", &["kubernetes", "shared"]),
];

/// A crate of others, the folders of ours that may depend on it, and the sources that may use it.
const OTHERS: &[(&str, &[&str], &[&str])] = &[
    ("apalis", &["worker"], &["worker/src/"]),
    ("apalis-core", &["worker"], &["worker/src/"]),
    ("apalis-redis", &["worker"], &["worker/src/"]),
    (
        "axum",
        &["api", "simulator"],
        &["api/src/", "simulator/src/"],
    ),
    ("backoff", &["shared"], &["shared/src/jobs/retry.rs"]),
    ("jsonwebtoken", &["shared"], &["shared/src/sessions/"]),
    ("k8s-openapi", &["kubernetes"], &["kubernetes/src/"]),
    ("kube", &["kubernetes"], &["kubernetes/src/"]),
    ("lettre", &["worker"], &["worker/src/"]),
    (
        "redis",
        &["shared", "worker"],
        &["shared/src/queue/", "worker/src/"],
    ),
    ("ring", &["shared"], &["shared/src/sessions/"]),
    ("utoipa-axum", &["api"], &["api/src/"]),
];

/// What the manifest in this folder names under the tables.
fn dependencies(folder: &str, tables: &[&str]) -> BTreeSet<String> {
    let path = root().join(folder).join("Cargo.toml");
    let manifest: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
    let names = tables
        .iter()
        .filter_map(|table| manifest.get(*table)?.as_table());
    names.flat_map(|table| table.keys().cloned()).collect()
}

const BUILT_WITH: &[&str] = &["dependencies", "build-dependencies"];

fn members() -> Vec<String> {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml"))
        .unwrap()
        .parse()
        .unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    members
        .iter()
        .map(|member| member.as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn crates_of_ours_depend_on_each_other_in_one_direction() {
    let mut faults = Vec::new();
    for member in members() {
        let Some((_, allowed)) = OURS.iter().find(|(name, _)| *name == member) else {
            faults.push(format!("{member}/Cargo.toml: a new crate; say in tests/tidy/dependencies.rs what it may use"));
            continue;
        };
        let built = dependencies(&member, BUILT_WITH);
        let tested = dependencies(&member, &["dev-dependencies"]);
        let ours = |names: &BTreeSet<String>| -> Vec<String> {
            names
                .iter()
                .filter_map(|name| name.strip_prefix("unity-").map(str::to_owned))
                .collect()
        };
        for name in ours(&built) {
            if !allowed.contains(&name.as_str()) {
                faults.push(format!("{member}/Cargo.toml: {member} must not be built on {name}; move what both need to shared"));
            }
        }
        for name in ours(&tested) {
            if !allowed.contains(&name.as_str()) && name != "simulator" {
                faults.push(format!("{member}/Cargo.toml: tests of {member} must not use {name}; put them into tests/"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn a_crate_of_others_is_known_where_it_belongs_and_nowhere_else() {
    let mut faults = Vec::new();
    for member in members() {
        let built = dependencies(&member, BUILT_WITH);
        for (name, folders, _) in OTHERS {
            if built.contains(*name) && !folders.contains(&member.as_str()) {
                faults.push(format!(
                    "{member}/Cargo.toml: {name} belongs to {}; under [dev-dependencies] if only tests need it",
                    folders.join(" and ")
                ));
            }
        }
    }
    for source in rust_sources()
        .iter()
        .filter(|source| source.is_production())
    {
        for (number, line) in production_lines(&source.text) {
            for (name, _, places) in OTHERS {
                let known = places.iter().any(|place| source.path.starts_with(place));
                if !known && uses_crate(line, &name.replace('-', "_")) {
                    let path = &source.path;
                    faults.push(format!(
                        "{path}:{number}: {name} is used in {} only",
                        places.join(" and ")
                    ));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// A pool hands out connections without a tenant.
/// Where a router of axum's own begins: nothing there has a rule, so each has its reason.
const RULELESS: [(&str, &str); 4] = [
    (
        "api/src/router.rs",
        "the API's document and its page, for everybody",
    ),
    (
        "api/src/invitation_page/mod.rs",
        "a page without data, for everybody",
    ),
    ("api/src/ops/mod.rs", "the operators' port"),
    ("api/src/floor.rs", "served by `unity bench` alone"),
];

#[test]
fn a_route_without_a_rule_is_registered_in_few_places() {
    let sources = rust_sources();
    let makers = sources.iter().filter(|source| {
        let is_api = source.path.starts_with("api/src/") && source.is_production();
        is_api
            && production_lines(&source.text)
                .iter()
                .any(|(_, line)| line.contains("Router::new("))
    });
    let makers: BTreeSet<&str> = makers.map(|source| source.path.as_str()).collect();
    let known: BTreeSet<&str> = RULELESS.iter().map(|(path, _)| *path).collect();
    assert_eq!(
        makers, known,
        "register routes with `auth::Routes`, which asks for their rule"
    );
}

#[test]
fn pools_of_connections_stay_where_transactions_begin() {
    let mut faults = Vec::new();
    for source in rust_sources()
        .iter()
        .filter(|source| source.is_production())
    {
        if source.path.starts_with("shared/src/db/") {
            continue;
        }
        for (number, line) in production_lines(&source.text) {
            if super::tree::code(line).contains("PgPool") {
                let path = &source.path;
                faults.push(format!(
                    "{path}:{number}: take a TenantTx or a PlatformTx of one duty instead of a pool"
                ));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
