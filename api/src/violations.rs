//! What is wrong with a body's values, gathered so that the caller hears of all faults at once.
//!
//! Everything that goes into the database passes here: PostgreSQL has no U+0000 in text and JSON,
//! and a control character in a name breaks logs, mails and the gate's own records.

use std::ops::RangeInclusive;

use serde_json::Value;

use crate::{error::ApiError, problem::FieldError};

/// How deep a payload may be nested. Handlers and the database walk it recursively.
const DEPTH_LIMIT: usize = 32;
/// Longest echo of a caller's own text, in characters.
const DETAIL_LIMIT: usize = 300;
/// Most faults that are told at once: a small body must not be answered with a large one.
pub const MOST_TOLD: usize = 100;

/// Faults found so far.
#[derive(Debug, Default)]
pub struct Violations(Vec<FieldError>);

impl Violations {
    /// Notes a fault.
    pub fn add(&mut self, pointer: impl Into<String>, code: &'static str, detail: &str) {
        if self.0.len() < MOST_TOLD {
            self.0.push(FieldError {
                pointer: pointer.into(),
                code,
                detail: shorten(detail),
            });
        }
    }

    /// Notes a number outside of its range.
    pub fn range(&mut self, pointer: &str, value: i64, range: &RangeInclusive<i64>) {
        if !range.contains(&value) {
            let detail = format!("must be from {} to {}", range.start(), range.end());
            self.add(pointer, "range", &detail);
        }
    }

    /// Notes a text of the wrong length (in characters) or with control characters.
    pub fn text(&mut self, pointer: &str, text: &str, length: &RangeInclusive<usize>) {
        if !length.contains(&text.chars().count()) {
            let detail = format!(
                "must have {} to {} characters",
                length.start(),
                length.end()
            );
            self.add(pointer, "length", &detail);
        }
        if text.chars().any(char::is_control) {
            self.add(pointer, "characters", "must not hold control characters");
        }
    }

    /// Notes the first place in a JSON value that cannot be stored, and answers whether there is none.
    pub fn json(&mut self, pointer: &str, value: &Value) -> bool {
        let found = find_unstorable(value, pointer, DEPTH_LIMIT);
        let is_storable = found.is_none();
        if let Some(FieldError {
            pointer,
            code,
            detail,
        }) = found
        {
            self.add(pointer, code, &detail);
        }
        is_storable
    }

    /// Refuses the body if there was a fault.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(ApiError::Invalid(self.0))
        }
    }
}

/// A text for `detail`, cut so that a megabyte of nonsense is not sent back.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(DETAIL_LIMIT) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// One segment of a JSON pointer.
pub fn escape_segment(key: &str) -> String {
    shorten(key).replace('~', "~0").replace('/', "~1")
}

fn find_unstorable(value: &Value, pointer: &str, depth_left: usize) -> Option<FieldError> {
    let nul = |text: &str| {
        text.contains('\0').then(|| FieldError {
            pointer: pointer.to_owned(),
            code: "characters",
            detail: "must not hold the character U+0000".to_owned(),
        })
    };
    let deeper = depth_left.checked_sub(1);
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => None,
        Value::String(text) => nul(text),
        Value::Array(_) | Value::Object(_) if deeper.is_none() => Some(FieldError {
            pointer: pointer.to_owned(),
            code: "depth",
            detail: format!("must not be nested deeper than {DEPTH_LIMIT} levels"),
        }),
        Value::Array(items) => items.iter().enumerate().find_map(|(index, item)| {
            find_unstorable(item, &format!("{pointer}/{index}"), deeper.unwrap_or(0))
        }),
        Value::Object(fields) => fields.iter().find_map(|(key, item)| {
            nul(key).or_else(|| {
                let place = format!("{pointer}/{}", escape_segment(key));
                find_unstorable(item, &place, deeper.unwrap_or(0))
            })
        }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn faults<T>(find: impl FnOnce(&mut Violations) -> T) -> Vec<(String, &'static str)> {
        let mut violations = Violations::default();
        find(&mut violations);
        violations
            .0
            .into_iter()
            .map(|fault| (fault.pointer, fault.code))
            .collect()
    }

    #[test]
    fn a_nul_is_found_wherever_it_hides() {
        for (value, place) in [
            (json!("a\0"), "/payload"),
            (json!({"a/b": [1, {"c": "\0"}]}), "/payload/a~1b/1/c"),
            (json!({"k\0": 1}), "/payload"),
        ] {
            assert_eq!(
                faults(|v| v.json("/payload", &value)),
                [(place.to_owned(), "characters")]
            );
        }
        assert!(
            faults(|v| v.json("", &json!({"a": [null, true, 1.5, "\u{1}\u{ffff}"]}))).is_empty()
        );
    }

    #[test]
    fn no_more_than_a_hundred_faults_are_told() {
        let told = faults(|v| (0..350_000).for_each(|n| v.add(format!("/{n}"), "unknown", "no")));
        assert_eq!(told.len(), MOST_TOLD);
    }

    #[test]
    fn a_payload_has_a_deepest_level() {
        let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
        assert!(faults(|v| v.json("", &nested(DEPTH_LIMIT))).is_empty());
        assert_eq!(
            faults(|v| v.json("", &nested(DEPTH_LIMIT + 1)))[0].1,
            "depth"
        );
    }

    #[test]
    fn lengths_count_characters_and_ranges_hold_their_ends() {
        assert!(faults(|v| v.text("/name", "éé", &(1..=2))).is_empty());
        assert_eq!(faults(|v| v.text("/name", "", &(1..=2)))[0].1, "length");
        assert_eq!(
            faults(|v| v.text("/name", "a\n", &(1..=2)))[0].1,
            "characters"
        );
        assert!(faults(|v| v.range("/priority", 9, &(0..=9))).is_empty());
        assert_eq!(faults(|v| v.range("/priority", -1, &(0..=9)))[0].1, "range");
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let cut = shorten(&"é".repeat(5000));
        assert_eq!(cut.chars().count(), DETAIL_LIMIT + 3);
        assert_eq!(shorten("short"), "short");
    }
}
