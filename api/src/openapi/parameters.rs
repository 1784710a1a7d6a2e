//! What the document says of parameters, as exactly as they are read.
//!
//! A parameter is sent or absent, never null; and the headers that many operations share are described
//! here, once.

use utoipa::openapi::{
    OpenApi, RefOr,
    path::{Parameter, ParameterIn},
    schema::{Object, Schema, SchemaType, Type},
};

use super::texts;
use crate::auth::operations;

/// `*`, or `ETag`s, strong or weak, with commas between (RFC 9110, 13.1.1).
const TAGS: &str = r#"^(\*|(W/)?"[^"]*"( *, *(W/)?"[^"]*")*)$"#;
/// Visible ASCII.
const VISIBLE: &str = "^[!-~]+$";
const LONGEST_KEY: usize = 255;

/// Describes the parameters of every operation.
pub(super) fn refine(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            for parameter in operation.parameters.iter_mut().flatten() {
                if let RefOr::T(parameter) = parameter {
                    refine_one(parameter);
                }
            }
        }
    }
}

fn refine_one(parameter: &mut Parameter) {
    let Parameter {
        name,
        parameter_in,
        schema: Some(RefOr::T(Schema::Object(schema))),
        ..
    } = parameter
    else {
        return;
    };
    never_null(schema);
    texts::refine_object(schema);
    if *parameter_in != ParameterIn::Header {
        return;
    }
    match name.as_str() {
        "If-Match" => {
            schema.pattern = Some(TAGS.to_owned());
            schema.examples = vec!["\"v1\"".into()];
        }
        "Idempotency-Key" => {
            schema.pattern = Some(VISIBLE.to_owned());
            schema.min_length = Some(1);
            schema.max_length = Some(LONGEST_KEY);
        }
        _ => {}
    }
}

fn never_null(schema: &mut Object) {
    if let SchemaType::Array(types) = &schema.schema_type {
        let mut values = types.iter().filter(|kind| **kind != Type::Null);
        if let (Some(only), None) = (values.next(), values.next()) {
            schema.schema_type = SchemaType::Type(only.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_parameter_may_be_null() {
        let mut document = crate::openapi();
        let mut seen = 0;
        for item in document.paths.paths.values_mut() {
            for (_, operation) in operations(item) {
                for parameter in operation.parameters.iter().flatten() {
                    let text = serde_json::to_string(parameter).unwrap();
                    assert!(!text.contains("null"), "{text}");
                    seen += 1;
                }
            }
        }
        assert!(seen > 0);
    }
}
