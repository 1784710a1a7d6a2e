//! How values are described that the code reads with a wider type than it accepts.
//!
//! None of these has a value: a field names one as its `value_type`. That the code takes what stands
//! here and nothing else is tried over HTTP, at every boundary (`tests/surface/fuzz`).

use std::borrow::Cow;

use serde_json::Value;
use unity_shared::{
    people::MOST_BY_DEFAULT,
    tenancy::{Resource, Role, Scope},
};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{
        ObjectBuilder, RefOr,
        schema::{AdditionalProperties, Object, Schema, Type},
    },
};

use super::texts::LINE;

/// Most labels of a job.
pub const MOST_LABELS: usize = 32;
/// Longest key of a label, in characters.
pub const LONGEST_LABEL_KEY: usize = 63;
/// Longest value of a label, in characters.
pub const LONGEST_LABEL_VALUE: usize = 256;

macro_rules! described_as {
    ($(#[$doc:meta])* $name:ident, $schema:expr) => {
        $(#[$doc])*
        pub enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                RefOr::T(Schema::Object($schema))
            }
        }

        impl ToSchema for $name {
            fn name() -> Cow<'static, str> {
                Cow::Borrowed(stringify!($name))
            }
        }
    };
}

described_as!(
    /// A role within a tenant, by any name that is taken.
    TenantRole,
    names(
        "What somebody may do in a tenant. `viewer`, `member` and `admin` are short for the others.",
        &tenant_roles(&[Role::TenantViewer, Role::TenantMember, Role::TenantAdmin]),
    )
);
described_as!(
    /// A role that somebody gets without an invitation.
    RoleByDefault,
    names(
        "What somebody becomes in a tenant whom nobody invited. `viewer` and `member` are short for the others.",
        &tenant_roles(&[Role::TenantViewer, MOST_BY_DEFAULT]),
    )
);
described_as!(
    /// A role of a key.
    KeyRole,
    names(
        "What a key may do. `viewer`, `member` and `admin` are short for the names with `tenant-`; a key of the \
         platform is `system-admin`, and no other.",
        &[tenant_roles(&[Role::TenantViewer, Role::TenantMember, Role::TenantAdmin]), vec![Role::SystemAdmin.as_str().to_owned()]].concat(),
    )
);
described_as!(
    /// What a key is confined to.
    ScopeName,
    names(
        "A resource, and whether it is read or written.",
        &scope_names()
    )
);
described_as!(
    /// Labels of a job.
    Labels,
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Free labels."))
        .max_properties(Some(MOST_LABELS))
        .property_names(Some(line(1, LONGEST_LABEL_KEY)))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(line(0, LONGEST_LABEL_VALUE)))))
        .build()
);
described_as!(
    /// Limits by the names of kinds.
    KindLimits,
    ObjectBuilder::new()
        .schema_type(Type::Object)
        .description(Some("Names of `GET /job-kinds`, each with the most of its jobs that run at the same time."))
        .additional_properties(Some(AdditionalProperties::RefOr(RefOr::T(Schema::Object(
            ObjectBuilder::new()
                .schema_type(Type::Integer)
                .minimum(Some(0))
                .maximum(Some(10_000))
                .build(),
        )))))
        .build()
);

fn tenant_roles(roles: &[Role]) -> Vec<String> {
    roles
        .iter()
        .copied()
        .map(Role::as_str)
        .flat_map(|name| [name, name.trim_start_matches("tenant-")])
        .map(str::to_owned)
        .collect()
}

fn scope_names() -> Vec<String> {
    let both = |resource| [false, true].map(|writes| Scope { resource, writes }.to_string());
    Resource::ALL.into_iter().flat_map(both).collect()
}

fn names(description: &str, names: &[String]) -> Object {
    let values = names.iter().map(|name| Value::from(name.as_str()));
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(values))
        .build()
}

fn line(shortest: usize, longest: usize) -> Schema {
    Schema::Object(
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(shortest))
            .max_length(Some(longest))
            .pattern(Some(LINE))
            .build(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_of_a_role_or_a_scope_that_is_described_is_read() {
        for name in tenant_roles(&[Role::TenantViewer, Role::TenantMember, Role::TenantAdmin]) {
            let role: Role = serde_json::from_value(Value::from(name.clone())).unwrap();
            assert!(
                role < Role::SystemAdmin && role.as_str().ends_with(&name),
                "{name}"
            );
        }
        assert_eq!(scope_names().len(), 2 * Resource::ALL.len());
        for name in scope_names() {
            assert_eq!(name.parse::<Scope>().unwrap().to_string(), name);
        }
    }
}
