//! What the document says of bodies that may be left out.

use utoipa::openapi::{
    OpenApi, RefOr, Required,
    path::Operation,
    schema::{Schema, SchemaType, Type},
};

use crate::auth::operations;

/// A body is sent or left out. It is never `null`, which the description of an optional type adds.
pub(super) fn refine(document: &mut OpenApi) {
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            refine_one(operation);
        }
    }
}

fn refine_one(operation: &mut Operation) {
    let Some(RefOr::T(body)) = &mut operation.request_body else {
        return;
    };
    for content in body.content.values_mut() {
        let RefOr::T(content) = content else { continue };
        let Some(RefOr::T(Schema::OneOf(choice))) = &mut content.schema else {
            continue;
        };
        choice.items.retain(|schema| !is_null(schema));
        if let [only] = choice.items.as_slice() {
            content.schema = Some(only.clone());
            body.required = Some(Required::False);
        }
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(
        schema,
        RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(Type::Null)
    )
}
