//! What fields a kind has and how its lists are owned: read once from a table of the API's types.
//!
//! Server-side apply, strategic merge, decoding and the `OpenAPI` documents all ask here, so that
//! they cannot disagree about what a field is.

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

/// The shape of one value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shape {
    /// A single value.
    Scalar(Scalar),
    /// Free-form JSON.
    Any,
    /// A list.
    List {
        /// Shape of each item.
        item: Box<Shape>,
        /// Who owns what in it.
        ownership: ListOwnership,
    },
    /// A map with free keys.
    Map {
        /// Shape of each value.
        value: Box<Shape>,
        /// Owned as a whole instead of key by key.
        atomic: bool,
    },
    /// One of the named types.
    Struct(&'static str),
}

/// A value without parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    /// Text.
    Text,
    /// Base64 text.
    Bytes,
    /// RFC 3339 text.
    Time,
    /// Whole number of 32 bits.
    Int32,
    /// Whole number of 64 bits.
    Int64,
    /// Floating point number.
    Number,
    /// True or false.
    Bool,
    /// Text or number, an amount with a unit such as `500m` or `1Gi`.
    Quantity,
    /// A whole number or a text.
    IntOrText,
}

/// How server-side apply divides a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListOwnership {
    /// Owned as a whole.
    Atomic,
    /// Each distinct value is owned by itself.
    Set,
    /// Each item is owned by itself and told apart by these fields.
    Map(Vec<KeyField>),
}

/// A field that tells items of a list apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyField {
    /// Its name.
    pub name: &'static str,
    /// Its value where an item leaves it out.
    pub default: Option<&'static str>,
}

/// A named type.
#[derive(Debug, Default)]
pub struct StructType {
    /// Its fields by name.
    pub fields: BTreeMap<&'static str, Field>,
    /// Owned as a whole instead of field by field.
    pub atomic: bool,
    /// What each field number of its protobuf message holds.
    pub numbers: BTreeMap<u64, Numbered>,
}

/// What a field number of a protobuf message holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbered {
    /// The field of this name.
    Field(&'static str),
    /// A message whose fields are, in JSON, fields of the type itself.
    Inline(&'static str),
}

/// One field of a named type.
#[derive(Debug)]
pub struct Field {
    /// What it holds.
    pub shape: Shape,
    /// An object without it is not valid.
    pub required: bool,
    /// A strategic merge patch merges the list by this key, or by value when the key is empty.
    pub merge_key: Option<&'static str>,
    /// A strategic merge patch may say which keys of the value stay.
    pub retain_keys: bool,
    /// Absent and zero are different things.
    pub pointer: bool,
}

static TYPES: LazyLock<HashMap<&'static str, StructType>> =
    LazyLock::new(|| parse(include_str!("schema/kubernetes-1.33.txt")));

/// The named type `name`, for example `apps.v1.Deployment`.
pub fn find(name: &str) -> Option<&'static StructType> {
    TYPES.get(name)
}

/// The shape of the named type `name`; free-form where there is no such type.
pub fn named(name: &str) -> Shape {
    TYPES
        .get_key_value(name)
        .map_or(Shape::Any, |(name, _)| Shape::Struct(name))
}

fn parse(text: &'static str) -> HashMap<&'static str, StructType> {
    let mut types: HashMap<&'static str, StructType> = HashMap::new();
    let mut current = "";
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        if let Some(field) = line.strip_prefix("  ") {
            if let Some(open) = types.get_mut(current) {
                parse_field(field, open);
            }
        } else {
            current = line.trim_start_matches('@');
            let atomic = line.starts_with('@');
            types.insert(
                current,
                StructType {
                    atomic,
                    ..StructType::default()
                },
            );
        }
    }
    types
}

fn parse_field(line: &'static str, open: &mut StructType) {
    let words: Vec<&'static str> = line.split(' ').collect();
    let [name, shape, rest @ ..] = words.as_slice() else {
        return;
    };
    let number = rest.iter().find_map(|word| word.strip_prefix('#'));
    let plain = number.and_then(|text| text.trim_end_matches('*').parse().ok());
    if *name == "^" {
        open.numbers
            .extend(plain.map(|number| (number, Numbered::Inline(shape))));
        return;
    }
    let ownership = rest
        .iter()
        .copied()
        .find(|word| ["set", "atomic"].contains(word) || word.starts_with("map:"));
    let field = Field {
        shape: parse_shape(shape, ownership),
        required: name.ends_with('!'),
        merge_key: rest.iter().find_map(|word| word.strip_prefix('~')),
        retain_keys: rest.contains(&"retainKeys"),
        pointer: number.is_some_and(|text| text.ends_with('*')),
    };
    let name = name.trim_end_matches('!');
    open.numbers
        .extend(plain.map(|number| (number, Numbered::Field(name))));
    open.fields.insert(name, field);
}

fn parse_shape(text: &'static str, ownership: Option<&'static str>) -> Shape {
    if let Some(item) = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        let item = Box::new(parse_shape(item, None));
        return Shape::List {
            item,
            ownership: parse_ownership(ownership),
        };
    }
    if let Some(value) = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
    {
        let value = Box::new(parse_shape(value, None));
        return Shape::Map {
            value,
            atomic: ownership == Some("atomic"),
        };
    }
    match text {
        "any" => Shape::Any,
        "string" => Shape::Scalar(Scalar::Text),
        "bytes" => Shape::Scalar(Scalar::Bytes),
        "time" => Shape::Scalar(Scalar::Time),
        "int32" => Shape::Scalar(Scalar::Int32),
        "int64" => Shape::Scalar(Scalar::Int64),
        "number" => Shape::Scalar(Scalar::Number),
        "bool" => Shape::Scalar(Scalar::Bool),
        "quantity" => Shape::Scalar(Scalar::Quantity),
        "intOrString" => Shape::Scalar(Scalar::IntOrText),
        name => Shape::Struct(name),
    }
}

fn parse_ownership(text: Option<&'static str>) -> ListOwnership {
    match text {
        Some("set") => ListOwnership::Set,
        Some(keyed) => ListOwnership::Map(
            keyed
                .trim_start_matches("map:")
                .split(',')
                .map(parse_key_field)
                .collect(),
        ),
        None => ListOwnership::Atomic,
    }
}

fn parse_key_field(text: &'static str) -> KeyField {
    match text.split_once('=') {
        Some((name, default)) => KeyField {
            name,
            default: Some(default),
        },
        None => KeyField {
            name: text,
            default: None,
        },
    }
}

/// What a value is made of when it is owned part by part.
#[derive(Debug)]
pub enum Parts<'a> {
    /// It has no parts that are owned by themselves.
    Whole,
    /// Named fields.
    Fields,
    /// Free keys, all of one shape.
    Keys(&'a Shape),
    /// Distinct values.
    Values,
    /// Items told apart by key fields.
    Items(&'a Shape, &'a [KeyField]),
}

impl Shape {
    /// How server-side apply divides values of this shape.
    pub fn parts(&self) -> Parts<'_> {
        match self {
            Self::Scalar(_) | Self::Any => Parts::Whole,
            Self::List { item, ownership } => match ownership {
                ListOwnership::Atomic => Parts::Whole,
                ListOwnership::Set => Parts::Values,
                ListOwnership::Map(keys) => Parts::Items(item, keys),
            },
            Self::Map { value, atomic } => {
                if *atomic {
                    Parts::Whole
                } else {
                    Parts::Keys(value)
                }
            }
            Self::Struct(name) => match find(name) {
                Some(one) if !one.atomic => Parts::Fields,
                Some(_) | None => Parts::Whole,
            },
        }
    }

    /// The field `name`, where the shape has named fields.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        match self {
            Self::Struct(this) => find(this)?.fields.get(name),
            Self::Scalar(_) | Self::Any | Self::List { .. } | Self::Map { .. } => None,
        }
    }

    /// The shape of the field or key `name`; `Any` where nothing is known about it.
    pub fn child(&self, name: &str) -> &Self {
        const ANY: &Shape = &Shape::Any;
        match self {
            Self::Struct(_) => self.field(name).map_or(ANY, |field| &field.shape),
            Self::Map { value, .. } => value,
            Self::Scalar(_) | Self::Any | Self::List { .. } => ANY,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_type_that_a_field_mentions_exists() {
        fn names(shape: &Shape) -> Option<&'static str> {
            match shape {
                Shape::Struct(name) => Some(name),
                Shape::List { item, .. } => names(item),
                Shape::Map { value, .. } => names(value),
                Shape::Scalar(_) | Shape::Any => None,
            }
        }
        for (owner, one) in TYPES.iter() {
            for (field, shape) in &one.fields {
                if let Some(name) = names(&shape.shape) {
                    assert!(find(name).is_some(), "{owner}.{field} is a {name}");
                }
            }
        }
    }

    #[test]
    fn container_ports_are_told_apart_by_port_and_protocol() {
        let container = Shape::Struct("core.v1.Container");
        let Parts::Items(_, keys) = container.child("ports").parts() else {
            panic!("ports are a keyed list")
        };
        assert_eq!(
            keys,
            [
                KeyField {
                    name: "containerPort",
                    default: None
                },
                KeyField {
                    name: "protocol",
                    default: Some("TCP")
                }
            ]
        );
    }

    #[test]
    fn a_label_selector_is_owned_as_a_whole() {
        let spec = Shape::Struct("networking.v1.NetworkPolicySpec");
        assert!(matches!(spec.child("podSelector").parts(), Parts::Whole));
        assert!(matches!(spec.child("ingress").parts(), Parts::Whole));
    }
}
