//! Who owns which field: the `managedFields` of an object, read, advanced by a write, written.

mod entry;
pub mod ownership;
pub mod set;

use serde_json::{Value, json};

pub use self::entry::Writer;
use self::entry::{Entry, Operation, read, write};
use self::ownership::{Differences, compare, fields_of};
use self::set::FieldSet;
use crate::merge::apply::{overlay, prune};
use crate::schema::Shape;
use crate::status::{Cause, Failure};
use crate::tree;

/// Metadata that the server owns: nobody's field.
const UNOWNED: &[&[&str]] = &[
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:deletionTimestamp"],
    &["f:metadata", "f:deletionGracePeriodSeconds"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
    &["f:metadata", "f:selfLink"],
];

/// An object as ownership sees it: without the record of ownership itself.
fn bare(object: &Value) -> Value {
    let mut object = object.clone();
    tree::take(&mut object, &["metadata", "managedFields"]);
    object
}

fn without_server_fields(mut set: FieldSet) -> FieldSet {
    for path in UNOWNED {
        set.remove_below(path);
    }
    set
}

/// Whether two objects are equal apart from when their managers last wrote.
pub fn is_same_but_for_times(one: &Value, other: &Value) -> bool {
    let untimed = |object: &Value| -> Vec<Entry> {
        let entries = read(object);
        entries
            .into_iter()
            .map(|entry| Entry {
                time: String::new(),
                ..entry
            })
            .collect()
    };
    bare(one) == bare(other) && {
        let (mut one, mut other) = (untimed(one), untimed(other));
        let by_name = |a: &Entry, b: &Entry| {
            (&a.manager, a.operation, &a.subresource).cmp(&(
                &b.manager,
                b.operation,
                &b.subresource,
            ))
        };
        one.sort_by(by_name);
        other.sort_by(by_name);
        one == other
    }
}

/// Records in `new` that `writer` made it from `live` (`None`: from nothing) by a plain write.
pub fn record_update(shape: &Shape, live: Option<&Value>, new: &mut Value, writer: &Writer) {
    let empty = json!({"metadata": {}});
    let Differences { changed, removed } =
        compare(shape, &bare(live.unwrap_or(&empty)), &bare(new));
    let (changed, removed) = (
        without_server_fields(changed),
        without_server_fields(removed),
    );
    let mut entries = starting_entries(live, new);
    if !changed.is_empty() || !removed.is_empty() {
        for entry in &mut entries {
            let is_own = entry.belongs_to(writer, Operation::Update);
            let left = entry.fields.minus_below(&removed);
            entry.fields = if is_own { left } else { left.minus(&changed) };
        }
        own(&mut entries, writer, changed);
    }
    write(new, entries);
}

/// The entries before this write: those the client sends if it sends any, else the stored ones.
/// A list with one empty entry is how clients ask for a fresh start.
fn starting_entries(live: Option<&Value>, new: &Value) -> Vec<Entry> {
    let sent = tree::items(new, &["metadata", "managedFields"]);
    if sent.is_empty() || live.is_none() {
        live.map(read).unwrap_or_default()
    } else {
        read(new)
    }
}

fn own(entries: &mut Vec<Entry>, writer: &Writer, changed: FieldSet) {
    if changed.is_empty() {
        return;
    }
    let own = entries
        .iter_mut()
        .find(|entry| entry.belongs_to(writer, Operation::Update));
    match own {
        Some(entry) => {
            entry.fields = entry.fields.union(&changed);
            entry.time.clone_from(&writer.time);
        }
        None => entries.push(Entry::new(writer, Operation::Update, changed)),
    }
}

/// The result of applying `config` to `live` (`None`: creating) as `writer`, ownership recorded.
///
/// # Errors
/// A 409 with one cause per field that another manager owns with another value, unless `force`.
pub fn apply(
    shape: &Shape,
    live: Option<&Value>,
    config: &Value,
    writer: &Writer,
    force: bool,
) -> Result<Value, Failure> {
    let config = restrict(config, &writer.subresource);
    let wanted = without_server_fields(fields_of(shape, &config));
    let base = live.map(bare);
    let merged = overlay(shape, base.as_ref(), &config);
    let mut entries = live.map(read).unwrap_or_default();
    if let Some(base) = &base {
        let changed = without_server_fields(compare(shape, base, &merged).changed);
        settle_conflicts(&mut entries, &changed, writer, force)?;
    }
    let (own, others): (Vec<Entry>, Vec<Entry>) = entries
        .into_iter()
        .partition(|entry| entry.belongs_to(writer, Operation::Apply));
    let mut result = drop_abandoned(shape, merged, &own, &others, &wanted);
    let before = own.into_iter().next();
    let mut entries = others;
    let is_same = base.as_ref() == Some(&result);
    entries.push(match before {
        Some(entry) if is_same && entry.fields == wanted => entry,
        Some(_) | None => Entry::new(writer, Operation::Apply, wanted),
    });
    write(&mut result, entries);
    Ok(result)
}

/// What a request through this door can set: the object without its status, or nothing but that.
fn restrict(config: &Value, subresource: &str) -> Value {
    let mut config = bare(config);
    if subresource == "status" {
        let kept = ["apiVersion", "kind", "status"];
        tree::map_mut(&mut config, &[]).retain(|name, _| kept.contains(&name.as_str()));
    } else {
        tree::take(&mut config, &["status"]);
    }
    config
}

fn settle_conflicts(
    entries: &mut [Entry],
    changed: &FieldSet,
    writer: &Writer,
    force: bool,
) -> Result<(), Failure> {
    let mut causes = Vec::new();
    let mut lines: Vec<(String, Vec<String>)> = Vec::new();
    for entry in entries
        .iter_mut()
        .filter(|one| !one.belongs_to(writer, Operation::Apply))
    {
        let contested = entry.fields.intersection(changed);
        if contested.is_empty() {
            continue;
        }
        if force {
            entry.fields = entry.fields.minus(&contested);
            continue;
        }
        let (who, paths) = (entry.described(), contested.paths());
        causes.extend(paths.iter().map(|path| {
            Cause::plain("FieldManagerConflict", format!("conflict with {who}"), path)
        }));
        lines.push((who, paths));
    }
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::apply_conflict(
        conflict_message(causes.len(), &mut lines),
        &causes,
    ))
}

fn conflict_message(count: usize, lines: &mut [(String, Vec<String>)]) -> String {
    if let (1, Some((who, paths))) = (count, lines.first()) {
        return format!(
            "Apply failed with 1 conflict: conflict with {who}: {}",
            paths.join("")
        );
    }
    lines.sort();
    let parts: Vec<String> = lines
        .iter()
        .map(|(who, paths)| {
            let list: Vec<String> = paths.iter().map(|path| format!("- {path}")).collect();
            format!("conflicts with {who}:\n{}", list.join("\n"))
        })
        .collect();
    format!("Apply failed with {count} conflicts: {}", parts.join("\n"))
}

fn drop_abandoned(
    shape: &Shape,
    merged: Value,
    own: &[Entry],
    others: &[Entry],
    wanted: &FieldSet,
) -> Value {
    let Some(before) = own.first() else {
        return merged;
    };
    let abandoned = before.fields.minus(wanted);
    if abandoned.is_empty() {
        return merged;
    }
    let kept = others
        .iter()
        .fold(wanted.clone(), |all, entry| all.union(&entry.fields));
    prune(shape, &merged, &abandoned, Some(&kept)).unwrap_or(merged)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CONFIG_MAP: Shape = Shape::Struct("core.v1.ConfigMap");

    fn writer(manager: &str) -> Writer {
        Writer {
            manager: manager.to_owned(),
            api_version: "v1".to_owned(),
            subresource: String::new(),
            time: "2026-01-01T00:00:00Z".to_owned(),
        }
    }

    fn map(data: &Value) -> Value {
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
    }

    fn applied(live: Option<&Value>, data: &Value, manager: &str) -> Result<Value, Failure> {
        apply(&CONFIG_MAP, live, &map(data), &writer(manager), false)
    }

    #[test]
    fn a_field_of_another_manager_conflicts_and_is_named() {
        let live = applied(None, &json!({"k": "1"}), "one").expect("created");
        let failure = applied(Some(&live), &json!({"k": "2"}), "two").expect_err("conflict");
        assert_eq!(failure.code, 409);
        assert_eq!(
            failure.message,
            "Apply failed with 1 conflict: conflict with \"one\": .data.k"
        );
        let cause = tree::items(&failure.details, &["causes"]).first().cloned();
        assert_eq!(
            cause,
            Some(json!({"reason": "FieldManagerConflict",
                        "message": "conflict with \"one\"", "field": ".data.k"}))
        );
    }

    #[test]
    fn the_same_value_is_shared_and_stays_until_both_let_go() {
        let live = applied(None, &json!({"k": "1"}), "one").expect("created");
        let live = applied(Some(&live), &json!({"k": "1"}), "two").expect("shared");
        let live = applied(Some(&live), &json!({}), "one").expect("let go");
        assert_eq!(tree::text(&live, &["data", "k"]), "1");
        let live = applied(Some(&live), &json!({}), "two").expect("let go");
        assert_eq!(tree::at(&live, &["data", "k"]), None);
    }

    #[test]
    fn force_takes_the_field_over() {
        let live = applied(None, &json!({"k": "1", "l": "1"}), "one").expect("created");
        let config = map(&json!({"k": "2"}));
        let live = apply(&CONFIG_MAP, Some(&live), &config, &writer("two"), true).expect("forced");
        let owners: Vec<_> = read(&live)
            .into_iter()
            .map(|entry| (entry.manager, entry.fields.paths()))
            .collect();
        assert_eq!(
            owners,
            [
                ("one".to_owned(), vec![".data.l".to_owned()]),
                ("two".to_owned(), vec![".data.k".to_owned()])
            ]
        );
    }

    #[test]
    fn a_plain_write_takes_over_what_it_changes() {
        let live = applied(None, &json!({"k": "1", "l": "1"}), "one").expect("created");
        let mut new = live.clone();
        tree::put(&mut new, &["data", "k"], "2");
        record_update(&CONFIG_MAP, Some(&live), &mut new, &writer("editor"));
        let failure = applied(Some(&new), &json!({"k": "1", "l": "1"}), "one").expect_err("taken");
        assert_eq!(
            failure.message,
            "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.k"
        );
    }

    #[test]
    fn applying_the_same_again_changes_nothing() {
        let live = applied(None, &json!({"k": "1"}), "one").expect("created");
        let mut later = writer("one");
        later.time = "2030-01-01T00:00:00Z".to_owned();
        let again = apply(
            &CONFIG_MAP,
            Some(&live),
            &map(&json!({"k": "1"})),
            &later,
            false,
        );
        assert_eq!(again, Ok(live));
    }

    fn data() -> impl Strategy<Value = Value> {
        proptest::collection::btree_map("[a-d]", "[xy]", 0..4)
            .prop_map(|map| serde_json::to_value(map).unwrap_or_default())
    }

    proptest! {
        #[test]
        fn applying_twice_is_applying_once(first in data(), second in data()) {
            let live = applied(None, &first, "one").expect("created");
            let force = |live: &Value| {
                apply(&CONFIG_MAP, Some(live), &map(&second), &writer("two"), true)
            };
            let once = force(&live).expect("forced");
            prop_assert_eq!(force(&once).expect("forced"), once);
        }

        #[test]
        fn letting_everything_go_leaves_what_the_other_owns(first in data(), second in data()) {
            let live = applied(None, &first, "one").expect("created");
            let config = map(&second);
            let live = apply(&CONFIG_MAP, Some(&live), &config, &writer("two"), true);
            let live = applied(Some(&live.expect("forced")), &json!({}), "one").expect("let go");
            prop_assert_eq!(live.get("data").cloned().unwrap_or_else(|| json!({})), second);
        }
    }
}
