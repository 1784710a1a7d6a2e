//! The members of a JSON merge patch (RFC 7396).

use serde::{Deserialize, Deserializer};

/// A member of a merge patch. Give its field `#[serde(default)]`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Stated<T> {
    /// Absent: it stays as it is.
    #[default]
    Not,
    /// Null: as if it had never been set.
    Null,
    /// A value.
    Value(T),
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Stated<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Option::deserialize(deserializer)? {
            Some(value) => Self::Value(value),
            None => Self::Null,
        })
    }
}
