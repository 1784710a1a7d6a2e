//! An object inside a body.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor, value::MapAccessDeserializer},
};

/// A value that is read from a JSON object alone. A derived type would take an array too, its items as
/// the fields in their order, which nothing describes.
#[derive(Debug)]
pub struct Object<T>(pub T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(OfObject(PhantomData))
    }
}

struct OfObject<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OfObject<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<Object<T>, M::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Pair {
        #[serde(rename = "a")]
        _a: u32,
        #[serde(rename = "b")]
        _b: u32,
    }

    #[test]
    fn an_object_is_no_list_of_its_values() {
        let read = |text| serde_json::from_str::<Object<Pair>>(text);
        assert!(read("{\"a\": 1, \"b\": 2}").is_ok());
        for bad in [
            "[1, 2]",
            "{\"a\": 1}",
            "{\"a\": 1, \"b\": 2, \"c\": 3}",
            "1",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
