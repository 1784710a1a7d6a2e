//! Request bodies in the API's protobuf encoding, which `kubectl create` and typed Go clients
//! send: read by the field numbers of the schema into the JSON that everything else works on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use serde_json::{Map, Number, Value, json};

use crate::schema::{self, Field, Numbered, Scalar, Shape};
use crate::tree;

/// What every body starts with.
const MAGIC: &[u8] = b"k8s\0";

/// What keeps a body from being read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProtobufError {
    /// It does not start as the API's protobuf does.
    #[error("the body does not start with the prefix of the protobuf encoding")]
    Prefix,
    /// It ends in the middle of a field.
    #[error("the body ends in the middle of a field")]
    Truncated,
    /// A field is encoded in a way that it cannot have.
    #[error("field {0} has an encoding that does not fit its type")]
    Encoding(u64),
    /// A text is not UTF-8.
    #[error("a text is not UTF-8")]
    Text,
    /// The kind is not among those that are served.
    #[error("no kind \"{kind}\" is registered for version \"{api_version}\"")]
    UnknownKind {
        /// Its API version.
        api_version: String,
        /// The kind.
        kind: String,
    },
}

/// Reads an object.
///
/// # Errors
/// [`ProtobufError`], by what is wrong with the bytes.
pub fn decode(body: &[u8]) -> Result<Value, ProtobufError> {
    let mut envelope = Reader(body.strip_prefix(MAGIC).ok_or(ProtobufError::Prefix)?);
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, wire)) = envelope.field()? {
        match (number, wire) {
            (1, Wire::Bytes(bytes)) => {
                let mut types = Reader(bytes);
                while let Some((number, wire)) = types.field()? {
                    match number {
                        1 => api_version = wire.text(number)?,
                        2 => kind = wire.text(number)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let name = type_name(&api_version, &kind);
    let mut object = Map::new();
    if schema::find(&name).is_none() {
        return Err(ProtobufError::UnknownKind { api_version, kind });
    }
    message(&name, raw, &mut object)?;
    let mut object = Value::Object(object);
    tree::put(&mut object, &["apiVersion"], api_version);
    tree::put(&mut object, &["kind"], kind);
    Ok(object)
}

/// The name of a kind's type; the options of a request belong to no group.
fn type_name(api_version: &str, kind: &str) -> String {
    if kind == "DeleteOptions" {
        return "meta.v1.DeleteOptions".to_owned();
    }
    let (group, version) = api_version.split_once('/').unwrap_or(("core", api_version));
    format!(
        "{}.{version}.{kind}",
        group.split('.').next().unwrap_or_default()
    )
}

/// A value as it is encoded.
#[derive(Debug, Clone, Copy)]
enum Wire<'a> {
    Varint(u64),
    Bytes(&'a [u8]),
    Fixed64(u64),
    Fixed32,
}

impl<'a> Wire<'a> {
    fn bytes(self, number: u64) -> Result<&'a [u8], ProtobufError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            Self::Varint(_) | Self::Fixed64(_) | Self::Fixed32 => {
                Err(ProtobufError::Encoding(number))
            }
        }
    }

    fn text(self, number: u64) -> Result<String, ProtobufError> {
        let bytes = self.bytes(number)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| ProtobufError::Text)
    }

    fn varint(self, number: u64) -> Result<u64, ProtobufError> {
        match self {
            Self::Varint(value) => Ok(value),
            Self::Bytes(_) | Self::Fixed64(_) | Self::Fixed32 => {
                Err(ProtobufError::Encoding(number))
            }
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], ProtobufError> {
        let (head, rest) = self
            .0
            .split_at_checked(count)
            .ok_or(ProtobufError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    fn varint(&mut self) -> Result<u64, ProtobufError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (byte, rest) = self.0.split_first().ok_or(ProtobufError::Truncated)?;
            self.0 = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(ProtobufError::Truncated)
    }

    /// The next field and its number; `None` at the end.
    fn field(&mut self) -> Result<Option<(u64, Wire<'a>)>, ProtobufError> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = tag >> 3;
        let wire = match tag & 7 {
            0 => Wire::Varint(self.varint()?),
            1 => {
                let bytes = self.take(8)?;
                Wire::Fixed64(
                    bytes
                        .iter()
                        .rev()
                        .fold(0, |all, byte| all << 8 | u64::from(*byte)),
                )
            }
            2 => {
                let length = usize::try_from(self.varint()?);
                Wire::Bytes(self.take(length.map_err(|_| ProtobufError::Truncated)?)?)
            }
            5 => {
                self.take(4)?;
                Wire::Fixed32
            }
            _ => return Err(ProtobufError::Encoding(number)),
        };
        Ok(Some((number, wire)))
    }
}

fn message(name: &str, bytes: &[u8], object: &mut Map<String, Value>) -> Result<(), ProtobufError> {
    let Some(known) = schema::find(name) else {
        return Ok(());
    };
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.field()? {
        match known.numbers.get(&number) {
            Some(Numbered::Inline(inner)) => message(inner, wire.bytes(number)?, object)?,
            Some(Numbered::Field(name)) => {
                if let Some(field) = known.fields.get(name) {
                    add_field(name, field, number, wire, object)?;
                }
            }
            // A newer client may know more fields; they are dropped as unknown JSON fields are.
            None => {}
        }
    }
    Ok(())
}

fn add_field(
    name: &str,
    field: &Field,
    number: u64,
    wire: Wire<'_>,
    object: &mut Map<String, Value>,
) -> Result<(), ProtobufError> {
    match &field.shape {
        Shape::List { item, .. } => {
            let list = object.entry(name).or_insert_with(|| json!([]));
            if let Some(list) = list.as_array_mut() {
                list.push(value(item, number, wire)?);
            }
        }
        Shape::Map { value: inner, .. } => {
            let (key, one) = entry(inner, number, wire)?;
            let map = object.entry(name).or_insert_with(|| json!({}));
            if let Some(map) = map.as_object_mut() {
                map.insert(key, one);
            }
        }
        shape @ (Shape::Scalar(_) | Shape::Any | Shape::Struct(_)) => {
            let one = value(shape, number, wire)?;
            // Fields that are no pointers are always sent; zero stands for absent.
            if !one.is_null() && (field.pointer || !is_zero(&one)) {
                object.insert(name.to_owned(), one);
            }
        }
    }
    Ok(())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(_) | Value::Object(_) => false,
    }
}

/// One entry of a map: a message of key and value.
fn entry(shape: &Shape, number: u64, wire: Wire<'_>) -> Result<(String, Value), ProtobufError> {
    let mut reader = Reader(wire.bytes(number)?);
    let (mut key, mut one) = (String::new(), Value::Null);
    while let Some((part, wire)) = reader.field()? {
        match part {
            1 => key = wire.text(part)?,
            2 => one = value(shape, number, wire)?,
            _ => {}
        }
    }
    Ok((key, one))
}

fn value(shape: &Shape, number: u64, wire: Wire<'_>) -> Result<Value, ProtobufError> {
    match shape {
        Shape::Scalar(scalar) => scalar_value(*scalar, number, wire),
        Shape::Struct(name) => {
            let mut object = Map::new();
            message(name, wire.bytes(number)?, &mut object)?;
            Ok(Value::Object(object))
        }
        // Free-form JSON is carried as its bytes.
        Shape::Any => {
            let mut reader = Reader(wire.bytes(number)?);
            let raw = reader
                .field()?
                .map(|(_, wire)| wire.bytes(number))
                .transpose()?;
            Ok(raw
                .and_then(|raw| serde_json::from_slice(raw).ok())
                .unwrap_or_default())
        }
        // A list inside a map is a message with the items as field 1.
        Shape::List { item, .. } => {
            let mut reader = Reader(wire.bytes(number)?);
            let mut items = Vec::new();
            while let Some((_, wire)) = reader.field()? {
                items.push(value(item, number, wire)?);
            }
            Ok(Value::Array(items))
        }
        Shape::Map { .. } => Err(ProtobufError::Encoding(number)),
    }
}

fn scalar_value(scalar: Scalar, number: u64, wire: Wire<'_>) -> Result<Value, ProtobufError> {
    Ok(match scalar {
        Scalar::Text => Value::String(wire.text(number)?),
        Scalar::Bytes => Value::String(STANDARD.encode(wire.bytes(number)?)),
        Scalar::Bool => Value::Bool(wire.varint(number)? != 0),
        Scalar::Int32 | Scalar::Int64 => json!(wire.varint(number)?.cast_signed()),
        Scalar::Number => match wire {
            Wire::Fixed64(bits) => {
                Number::from_f64(f64::from_bits(bits)).map_or(Value::Null, Value::Number)
            }
            Wire::Varint(_) | Wire::Bytes(_) | Wire::Fixed32 => {
                return Err(ProtobufError::Encoding(number));
            }
        },
        Scalar::Time => time(wire.bytes(number)?)?,
        Scalar::Quantity => {
            let field = Reader(wire.bytes(number)?).field()?;
            match field {
                Some((number, wire)) => Value::String(wire.text(number)?),
                None => Value::Null,
            }
        }
        Scalar::IntOrText => int_or_text(wire.bytes(number)?)?,
    })
}

/// An instant: seconds and nanoseconds; an empty message is no instant.
fn time(bytes: &[u8]) -> Result<Value, ProtobufError> {
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    let (mut seconds, mut nanos) = (0, 0);
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.field()? {
        match number {
            1 => seconds = wire.varint(number)?.cast_signed(),
            2 => nanos = u32::try_from(wire.varint(number)?).unwrap_or_default(),
            _ => {}
        }
    }
    let form = if nanos == 0 {
        SecondsFormat::Secs
    } else {
        SecondsFormat::Micros
    };
    let instant = DateTime::from_timestamp(seconds, nanos);
    Ok(instant.map_or(Value::Null, |instant| {
        json!(instant.to_rfc3339_opts(form, true))
    }))
}

fn int_or_text(bytes: &[u8]) -> Result<Value, ProtobufError> {
    let (mut is_text, mut count, mut text) = (false, 0, String::new());
    let mut reader = Reader(bytes);
    while let Some((number, wire)) = reader.field()? {
        match number {
            1 => is_text = wire.varint(number)? == 1,
            2 => count = wire.varint(number)?.cast_signed(),
            3 => text = wire.text(number)?,
            _ => {}
        }
    }
    Ok(if is_text { json!(text) } else { json!(count) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A length-delimited field.
    fn bytes(number: u8, inner: &[u8]) -> Vec<u8> {
        let length = u8::try_from(inner.len()).expect("short");
        [&[number << 3 | 2, length], inner].concat()
    }

    fn body(api_version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let types = [bytes(1, api_version.as_bytes()), bytes(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), bytes(1, &types), bytes(2, raw)].concat()
    }

    #[test]
    fn an_object_is_read_by_its_field_numbers() {
        let metadata = [bytes(1, b"a"), bytes(3, b""), bytes(8, b"")].concat();
        let entry = [bytes(1, b"k"), bytes(2, b"v")].concat();
        let raw = [bytes(1, &metadata), bytes(2, &entry)].concat();
        assert_eq!(
            decode(&body("v1", "ConfigMap", &raw)),
            Ok(
                json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"},
                      "data": {"k": "v"}})
            )
        );
    }

    #[test]
    fn a_pointer_keeps_its_zero_and_a_plain_field_does_not() {
        // replicas = 0 (a pointer) and minReadySeconds = 0 (none).
        let spec = [vec![1 << 3, 0], vec![5 << 3, 0]].concat();
        let found = decode(&body("apps/v1", "Deployment", &bytes(2, &spec))).expect("read");
        assert_eq!(found["spec"], json!({"replicas": 0}));
    }

    #[test]
    fn a_volume_source_is_flattened_into_its_volume() {
        let source = bytes(2, &bytes(1, b"Memory"));
        let volume = [bytes(1, b"v"), bytes(2, &source)].concat();
        let raw = bytes(2, &bytes(1, &volume));
        let found = decode(&body("v1", "Pod", &raw)).expect("read");
        assert_eq!(
            found["spec"]["volumes"],
            json!([{"name": "v", "emptyDir": {"medium": "Memory"}}])
        );
    }

    #[test]
    fn other_bytes_are_refused() {
        assert_eq!(decode(b"{}"), Err(ProtobufError::Prefix));
        let cut = body("v1", "ConfigMap", &[10, 200]);
        assert_eq!(decode(&cut), Err(ProtobufError::Truncated));
        assert!(matches!(
            decode(&body("v1", "Nothing", b"")),
            Err(ProtobufError::UnknownKind { .. })
        ));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(raw in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = decode(&body("v1", "Pod", &raw));
        }
    }
}
