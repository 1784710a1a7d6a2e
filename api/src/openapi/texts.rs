//! Texts that must fit on a line.
//!
//! A control character in a name breaks logs, mails and the gate's own records, so most texts are
//! refused with one (`violations`). A field or parameter says so as its format, `line` or, where the
//! text must not be blank either, `words`; here that becomes the pattern that other programs know.

use utoipa::openapi::{
    OpenApi, RefOr,
    schema::{AdditionalProperties, Object, Schema, SchemaFormat},
};

/// Without control characters (Unicode's category Cc).
pub const LINE: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*$";
/// The same, and not all of it is space.
const WORDS: &str = "^[^\\u0000-\\u001f\\u007f-\\u009f]*[^\\s\\u0000-\\u001f\\u007f-\\u009f][^\\u0000-\\u001f\\u007f-\\u009f]*$";

/// Writes the patterns into every schema of the components.
pub(super) fn refine(document: &mut OpenApi) {
    let components = document.components.iter_mut();
    for schema in components.flat_map(|components| components.schemas.values_mut()) {
        refine_schema(schema);
    }
}

fn refine_schema(schema: &mut RefOr<Schema>) {
    let RefOr::T(schema) = schema else { return };
    match schema {
        Schema::Object(object) => refine_object(object),
        Schema::OneOf(one) => one.items.iter_mut().for_each(refine_schema),
        Schema::AllOf(all) => all.items.iter_mut().for_each(refine_schema),
        Schema::AnyOf(any) => any.items.iter_mut().for_each(refine_schema),
        _ => {}
    }
}

/// Writes the pattern of a text, and those of an object's fields.
pub(super) fn refine_object(object: &mut Object) {
    let pattern = match &object.format {
        Some(SchemaFormat::Custom(format)) if format == "line" => Some(LINE),
        Some(SchemaFormat::Custom(format)) if format == "words" => Some(WORDS),
        _ => None,
    };
    if let Some(pattern) = pattern {
        object.format = None;
        object.pattern = Some(pattern.to_owned());
    }
    object.properties.values_mut().for_each(refine_schema);
    if let Some(AdditionalProperties::RefOr(schema)) = object.additional_properties.as_deref_mut() {
        refine_schema(schema);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_format_of_our_own_is_left_in_the_document() {
        let text = serde_json::to_string(&crate::openapi()).unwrap();
        assert!(text.contains("u009f"));
        for format in ["\"line\"", "\"words\""] {
            assert!(!text.contains(&format!("\"format\":{format}")), "{format}");
        }
    }
}
