//! Roles: what a caller may do.

use serde::{Deserialize, Serialize};

/// The role of a caller. Ordered: a later one may do all that an earlier one may, within a tenant.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    sqlx::Type,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[sqlx(type_name = "text", rename_all = "kebab-case")]
pub enum Role {
    /// Reads.
    #[serde(alias = "viewer")]
    TenantViewer,
    /// Reads and starts work.
    #[serde(alias = "member")]
    TenantMember,
    /// Manages the tenant.
    #[serde(alias = "admin")]
    TenantAdmin,
    /// Manages the platform, across tenants.
    SystemAdmin,
}

impl Role {
    /// The role as the API and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TenantViewer => "tenant-viewer",
            Self::TenantMember => "tenant-member",
            Self::TenantAdmin => "tenant-admin",
            Self::SystemAdmin => "system-admin",
        }
    }
}
