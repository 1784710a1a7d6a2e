//! The `OpenAPI` 3.1 document, from the same list of routes as the router.

mod bodies;
mod parameters;
mod texts;
mod values;

use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        Components, ComponentsBuilder, Info, OpenApi, OpenApiBuilder,
        security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    },
};
use utoipa_axum::router::OpenApiRouter;

pub use values::{
    KeyRole, KindLimits, LONGEST_LABEL_KEY, LONGEST_LABEL_VALUE, Labels, MOST_LABELS,
    RoleByDefault, ScopeName, TenantRole,
};

use crate::{
    auth::{Routes, SECURITY_SCHEME},
    problem::{FieldError, ProblemBody},
    resources,
    state::ApiState,
};

const PREFIX: &str = "/api/v1";

const ABOUT: &str = "\
Orders are answered with a job: `202 Accepted`, a `Location` to poll, and the job as it stands.

The tenant of a request comes from its key or token alone. Errors are RFC 9457 problems whose `type` is the \
relative reference `/problems/{code}`, a name and not a page; `code` is stable, `detail` is for \
people, and `request_id` finds the request in the server's log. What the caller may not see is \
answered as if it did not exist.

Lists take `limit` (1 to 200) and `page_token`, and answer `items` with the `next_page_token`. A POST \
with an `Idempotency-Key` has one effect however often it arrives: the same request is answered with \
what the first one got and `Idempotency-Replayed: true`, without its one-time secrets. Unknown fields \
and parameters are refused.

Every answer says in `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers) how many \
calls are left; one too many is answered 429 with `Retry-After`. Every change leaves an entry in the \
tenant's audit log, `GET /audit-log`.";

/// The document of the whole API.
#[must_use]
pub fn openapi() -> OpenApi {
    describe(None).into_openapi()
}

/// All routes with their description. Without a state they are only described and must not be
/// served: nothing checks their rules.
pub fn describe(state: Option<ApiState>) -> OpenApiRouter<ApiState> {
    let routes = Routes::new(base(), state);
    let routes = resources::register(routes.below(PREFIX));
    let mut described = resources::register_at_root(routes.below("")).finish();
    let document = described.get_openapi_mut();
    bodies::refine(document);
    texts::refine(document);
    parameters::refine(document);
    described
}

fn base() -> OpenApi {
    let mut info = Info::new("Unity", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    OpenApiBuilder::new()
        .info(info)
        .components(Some(components()))
        .build()
}

fn components() -> Components {
    let scheme = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .bearer_format("uk_{tenant}_{secret} or JWT")
        .description(Some(
            "An API key, an access token from `POST /api/v1/auth/token`, or the token of an administrator's \
             leave to act in a tenant from `POST /api/v1/tenants/{id}/act-as`.",
        ))
        .build();
    ComponentsBuilder::new()
        .security_scheme(SECURITY_SCHEME, SecurityScheme::Http(scheme))
        .schema(FieldError::name(), FieldError::schema())
        .schema(ProblemBody::name(), ProblemBody::schema())
        .build()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::auth::{ACCESS_EXTENSION, SCOPE_EXTENSION};

    #[test]
    fn every_operation_has_a_rule_a_scope_and_a_name_of_its_own() {
        let document = serde_json::to_value(openapi()).unwrap();
        let mut lines = Vec::new();
        let mut names = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let name = operation["operationId"].as_str().unwrap();
                let rule = operation[ACCESS_EXTENSION].as_str().unwrap();
                let asks = operation["security"][0][SECURITY_SCHEME].is_array();
                assert_eq!(asks, rule != "public", "{method} {path}");
                let scope = operation[SCOPE_EXTENSION].as_str().unwrap_or("none");
                let tag = operation["tags"][0].as_str().unwrap();
                let writes = if method == "get" { "read" } else { "write" };
                let personal = ["public", "authenticated", "session"].contains(&rule);
                let wanted = if personal {
                    "none".to_owned()
                } else {
                    format!("{tag}:{writes}")
                };
                assert_eq!(
                    scope, wanted,
                    "{method} {path}: its tag must be a resource with scopes"
                );
                assert!(names.insert(name.to_owned()), "{name} names two operations");
                lines.push(format!("{method} {path} {name}: {rule}, scope {scope}"));
            }
        }
        insta::assert_snapshot!(lines.join("\n"));
    }

    #[test]
    fn every_reference_in_the_document_leads_somewhere() {
        let document = serde_json::to_value(openapi()).unwrap();
        let text = document.to_string();
        for reference in text.split("\"$ref\":\"#").skip(1) {
            let pointer = reference.split('"').next().unwrap();
            assert!(document.pointer(pointer).is_some(), "{pointer}");
        }
        assert_eq!(document["openapi"], "3.1.0");
    }

    #[test]
    fn the_document_is_what_programs_were_built_for() {
        insta::assert_json_snapshot!(serde_json::to_value(openapi()).unwrap());
    }
}
