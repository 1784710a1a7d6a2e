//! What a person reads: columns, or fields one below the other.

use std::io::Write as _;

use serde_json::Value;

/// One line on standard output. A reader that has gone is no reason to fail.
pub(crate) fn line(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// A column: its heading, and where in an item its value is (a JSON pointer).
pub(super) type Column = (&'static str, &'static str);

/// The items of a page in columns, and how to see the next page.
pub(super) fn page(answer: &Value, columns: &[Column]) {
    let items: &[Value] = answer
        .get("items")
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice);
    for text in rows(items, columns) {
        line(&text);
    }
    if let Some(token) = answer.get("next_page_token").and_then(Value::as_str) {
        line(&format!("more: --page-token {token}"));
    }
}

/// The fields of one thing, one below the other. What is null is left out.
pub(super) fn fields(thing: &Value, names: &[Column]) {
    let width = names.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, pointer) in names {
        let value = thing.pointer(pointer).unwrap_or(&Value::Null);
        if !value.is_null() {
            line(&format!("{name:width$}  {}", text(value)));
        }
    }
}

/// The heading and a line for each item.
fn rows(items: &[Value], columns: &[Column]) -> Vec<String> {
    let headings = columns.iter().map(|(name, _)| (*name).to_owned()).collect();
    let mut table: Vec<Vec<String>> = vec![headings];
    for item in items {
        let cells = columns
            .iter()
            .map(|(_, pointer)| text(item.pointer(pointer).unwrap_or(&Value::Null)));
        table.push(cells.collect());
    }
    let widths: Vec<usize> = (0..columns.len())
        .map(|column| {
            let cells = table.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        })
        .collect();
    let lines = table.iter().map(|row| {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    });
    lines.collect()
}

/// A value without quotes; `-` for null. Control characters, which a terminal might obey, are shown.
pub(super) fn text(value: &Value) -> String {
    let plain = match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(",")
        }
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    plain
        .chars()
        .map(|c| match c {
            c if c.is_control() => c.escape_default().to_string(),
            c => c.to_string(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let items = [
            json!({ "a": "x", "b": { "c": 1 } }),
            json!({ "a": "yyyy", "b": null }),
        ];
        let lines = rows(&items, &[("A", "/a"), ("C", "/b/c")]);
        assert_eq!(lines, ["A     C", "x     1", "yyyy  -"]);
    }

    #[test]
    fn a_terminal_is_told_nothing_by_a_value() {
        assert_eq!(text(&json!("a\u{1b}[2Jb")), "a\\u{1b}[2Jb");
        assert_eq!(text(&json!(["a", "b"])), "a,b");
    }
}
