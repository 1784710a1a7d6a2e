//! JSON that is passed on as it is.
//!
//! What a job carries is the tenant's own: nobody between the row and the reader looks into it. Read as a
//! tree of values it would be taken apart, copied and put together again for every look at the job, and
//! a number that PostgreSQL can keep and a float cannot would make the row unreadable.

use std::sync::Arc;

use serde::{Serialize, Serializer};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use sqlx::{
    Decode, Postgres, Type,
    error::BoxDynError,
    postgres::{PgTypeInfo, PgValueRef},
    types::Json,
};

/// A JSON text. Clones share it. Two are equal if they are written alike.
#[derive(Debug, Clone)]
pub struct JsonText(Arc<RawValue>);

impl JsonText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.get()
    }
}

impl From<&Value> for JsonText {
    fn from(value: &Value) -> Self {
        // Every value can be written: it has no keys but texts.
        let text = to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned());
        Self(text.into())
    }
}

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Serialize for JsonText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Type<Postgres> for JsonText {
    fn type_info() -> PgTypeInfo {
        <Json<Box<RawValue>> as Type<Postgres>>::type_info()
    }

    fn compatible(ty: &PgTypeInfo) -> bool {
        <Json<Box<RawValue>> as Type<Postgres>>::compatible(ty)
    }
}

impl Decode<'_, Postgres> for JsonText {
    fn decode(value: PgValueRef<'_>) -> Result<Self, BoxDynError> {
        let Json(text) = Json::<Box<RawValue>>::decode(value)?;
        Ok(Self(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_passed_on_as_it_is_written() {
        let text = JsonText::from(&serde_json::json!({"a": [1, null, "\u{1}"]}));
        assert_eq!(text.as_str(), r#"{"a":[1,null,"\u0001"]}"#);
        assert_eq!(serde_json::to_string(&text).unwrap(), text.as_str());
    }
}
