//! Whole numbers as JSON has them: `7.0` is one as `7` is (JSON Schema, section 6.1.1 of its
//! validation), and some programs write no other.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, Unexpected, Visitor},
};
use serde_json::{Map, Value};

use crate::merge_patch::Stated;

struct Whole(i64);

struct OfNumber;

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OfNumber)
    }
}

impl Visitor<'_> for OfNumber {
    type Value = Whole;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Whole, E> {
        Ok(Whole(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Whole, E> {
        i64::try_from(number)
            .map(Whole)
            .map_err(|_| E::invalid_value(Unexpected::Unsigned(number), &self))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Whole, E> {
        as_whole(number)
            .map(Whole)
            .ok_or_else(|| E::invalid_type(Unexpected::Float(number), &self))
    }
}

/// Up to here a float holds every whole number.
const EXACT: f64 = 9_007_199_254_740_992.0;

#[expect(
    clippy::cast_possible_truncation,
    reason = "it has no fraction and is in the range"
)]
fn as_whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
}

/// Reads a field that is a whole number.
pub fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Whole::deserialize(deserializer).map(|Whole(number)| number)
}

/// Reads a field that is a whole number or null. Give it `#[serde(default)]`.
pub fn whole_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    let read = Option::<Whole>::deserialize(deserializer)?;
    Ok(read.map(|Whole(number)| number))
}

/// Reads a member of a merge patch that is a whole number. Give it `#[serde(default)]`.
pub fn whole_stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Stated<i64>, D::Error> {
    Ok(match whole_or_null(deserializer)? {
        Some(number) => Stated::Value(number),
        None => Stated::Null,
    })
}

/// Reads whole numbers by name, or null. Give it `#[serde(default)]`.
pub fn wholes_by_name<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<BTreeMap<String, i64>>, D::Error> {
    let read = Option::<BTreeMap<String, Whole>>::deserialize(deserializer)?;
    let plain = |read: BTreeMap<String, Whole>| {
        read.into_iter()
            .map(|(name, Whole(number))| (name, number))
            .collect()
    };
    Ok(read.map(plain))
}

/// The same fields, whole numbers written as such.
pub fn with_plain_numbers(mut fields: Map<String, Value>) -> Map<String, Value> {
    for value in fields.values_mut() {
        if let Some(number) = value.as_f64().filter(|_| value.is_f64()).and_then(as_whole) {
            *value = Value::from(number);
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_without_a_fraction_is_whole_however_it_is_written() {
        let read = |text: &str| serde_json::from_str::<Whole>(text).map(|Whole(number)| number);
        for (text, number) in [("7", 7), ("7.0", 7), ("7e0", 7), ("-0", 0), ("-0.0", 0)] {
            assert_eq!(read(text).unwrap(), number, "{text}");
        }
        assert_eq!(read("9223372036854775807").unwrap(), i64::MAX);
        for bad in [
            "7.5",
            "1e300",
            "9223372036854775808",
            "\"7\"",
            "null",
            "true",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
