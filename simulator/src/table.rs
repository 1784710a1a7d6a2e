//! Tables: what `kubectl get` prints, cell by cell.

mod cells;
mod columns;

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::present::{RowObject, partial};
use crate::resources::Resource;

/// One column of a table.
struct Column {
    name: &'static str,
    kind: &'static str,
    /// 0 is always printed, 1 only with `-o wide`.
    priority: u8,
    cell: fn(&Value, DateTime<Utc>) -> Value,
}

/// A `Table` with one row per object.
pub fn render(
    resource: &Resource,
    objects: &[Arc<Value>],
    include: RowObject,
    metadata: &Value,
    now: DateTime<Utc>,
) -> Value {
    let columns = columns::of(resource.kind);
    let definitions: Vec<Value> = columns
        .iter()
        .map(|column| {
            let format = if column.name == "Name" { "name" } else { "" };
            json!({"name": column.name, "type": column.kind, "format": format,
                   "description": "", "priority": column.priority})
        })
        .collect();
    let rows: Vec<Value> = objects
        .iter()
        .map(|object| {
            let cells: Vec<Value> = columns
                .iter()
                .map(|column| (column.cell)(object, now))
                .collect();
            let mut row = json!({"cells": cells});
            match include {
                RowObject::None => {}
                RowObject::Metadata => crate::tree::put(&mut row, &["object"], partial(object)),
                RowObject::Full => {
                    crate::tree::put(&mut row, &["object"], Value::clone(object));
                }
            }
            row
        })
        .collect();
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata,
           "columnDefinitions": definitions, "rows": rows})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::RESOURCES;

    #[test]
    fn every_stored_kind_has_a_name_first_and_a_cell_for_every_column() {
        let now = DateTime::UNIX_EPOCH;
        let object = Arc::new(json!({"metadata": {"name": "a"}}));
        for resource in RESOURCES.iter().filter(|one| one.is_stored()) {
            let objects = [Arc::clone(&object)];
            let table = render(resource, &objects, RowObject::None, &json!({}), now);
            let names = crate::tree::items(&table, &["columnDefinitions"]).len();
            let Some(row) = crate::tree::items(&table, &["rows"]).first() else {
                panic!("one row per object")
            };
            let cells = crate::tree::items(row, &["cells"]);
            assert_eq!(
                (cells.len(), cells.contains(&json!("a"))),
                (names, true),
                "{resource:?}"
            );
        }
    }
}
