//! Ids are types: the wrong id does not compile.
//!
//! Every id but the tenant's slug is a UUID version 7 (RFC 9562), so that ids made later sort
//! later, also as text.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Declares a newtype of a version 7 UUID: `new`, `as_uuid`, text forms and database encoding.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            sqlx::Type, utoipa::ToSchema,
        )]
        #[serde(transparent)]
        #[sqlx(transparent)]
        #[schema(value_type = Uuid)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh id. Ids made by one process never sort before its earlier ones.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "a default id would look like a constant")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The id as the UUID that the database stores.
            #[must_use]
            pub const fn as_uuid(&self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(id: Uuid) -> Self {
                Self(id)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

uuid_id!(
    /// One job, for its whole life over all its attempts.
    JobId
);
uuid_id!(
    /// One start of a worker process. Never configured, so a restarted worker cannot be mistaken
    /// for the one that held a lease before it.
    WorkerId
);
uuid_id!(
    /// A tenant's immutable identity: a slug may one day be used again, its uid never.
    TenantUid
);
uuid_id!(
    /// A person, across all tenants they belong to.
    UserId
);
uuid_id!(
    /// An API key's name in listings and logs; it is not the secret.
    ApiKeyId
);
uuid_id!(
    /// An invitation's name in listings; the token in its mail is something else.
    InvitationId
);
uuid_id!(
    /// One login of a person, over all its access and refresh tokens.
    SessionId
);
uuid_id!(
    /// A switch that an operator has put on.
    SwitchId
);
uuid_id!(
    /// Some minutes of an administrator in a tenant.
    ActAsId
);
uuid_id!(
    /// One HTTP request, in every log line it causes and in every error it answers.
    RequestId
);

/// A tenant's slug: `^[a-z0-9]([a-z0-9-]{1,40}[a-z0-9])?$`, that is one character or three to
/// forty-two.
///
/// It names the tenant in URLs, in its namespace (`tenant-{id}`, at most 49 of the 63 characters
/// that Kubernetes allows) and in Redis keys. The alphabet has no quote, colon or underscore, so
/// a tenant id can be placed in a key or a `SET` statement as it is.
#[derive(
    Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(transparent)]
#[sqlx(transparent)]
#[schema(value_type = String, pattern = "^[a-z0-9]([a-z0-9-]{1,40}[a-z0-9])?$", example = "acme-corp")]
pub struct TenantId(String);

/// Why a text is not a tenant id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidTenantId {
    /// Length or alphabet is wrong.
    #[error("must match ^[a-z0-9]([a-z0-9-]{{1,40}}[a-z0-9])?$")]
    Shape,
    /// The name is taken by the platform itself.
    #[error("is reserved by the platform")]
    Reserved,
}

/// Slugs that a reader would take for the platform: API keys carry the slug in their text, and
/// `uk_platform_...` is a system administrator's.
const RESERVED: [&str; 4] = [PLATFORM, "system", "unity", "default"];
const PLATFORM: &str = "platform";

impl TenantId {
    /// Checks `text` and takes it as a tenant id.
    pub fn parse(text: &str) -> Result<Self, InvalidTenantId> {
        let bytes = text.as_bytes();
        let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let ends_ok =
            bytes.first().is_some_and(alphanumeric) && bytes.last().is_some_and(alphanumeric);
        let length_ok = bytes.len() == 1 || (3..=42).contains(&bytes.len());
        if !ends_ok || !length_ok || !bytes.iter().all(|b| alphanumeric(b) || *b == b'-') {
            return Err(InvalidTenantId::Shape);
        }
        if RESERVED.contains(&text) {
            return Err(InvalidTenantId::Reserved);
        }
        Ok(Self(text.to_owned()))
    }

    /// The owner of the platform's own jobs: a row among the tenants that nobody can make, list or
    /// call as.
    #[must_use]
    pub fn platform() -> Self {
        Self(PLATFORM.to_owned())
    }

    /// Takes a slug that we wrote ourselves, which may also be the platform's.
    pub fn recall(text: &str) -> Result<Self, InvalidTenantId> {
        if text == PLATFORM {
            return Ok(Self::platform());
        }
        Self::parse(text)
    }

    /// Whether the slug has two hyphens in a row. Such a name is kept free: `tenant-{id}--{environment}` is
    /// to be a further namespace of the tenant `{id}`, and must not be another tenant's.
    #[must_use]
    pub fn reads_as_environment(&self) -> bool {
        self.0.contains("--")
    }

    /// Whether this is the platform itself.
    #[must_use]
    pub fn is_platform(&self) -> bool {
        self.0 == PLATFORM
    }

    /// The slug as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The Kubernetes namespace that belongs to this tenant alone.
    #[must_use]
    pub fn namespace(&self) -> String {
        format!("tenant-{}", self.0)
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TenantId {
    type Err = InvalidTenantId;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

impl<'de> Deserialize<'de> for TenantId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_id_is_one_character_or_three_to_forty_two() {
        for good in ["a", "9", "abc", "acme-corp", "a-b", &"a".repeat(42)] {
            assert!(TenantId::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ab",
            "-ab",
            "ab-",
            "Acme",
            "a_b",
            "a.b",
            "аcme",
            "a b",
            &"a".repeat(43),
        ] {
            assert_eq!(TenantId::parse(bad), Err(InvalidTenantId::Shape), "{bad}");
        }
    }

    #[test]
    fn two_hyphens_in_a_row_read_as_a_tenants_environment() {
        for (slug, reads) in [
            ("acme--test", true),
            ("a--b", true),
            ("acme-test", false),
            ("a-b-c", false),
        ] {
            let id = TenantId::parse(slug).unwrap();
            assert_eq!(id.reads_as_environment(), reads, "{slug}");
        }
    }

    #[test]
    fn a_name_of_the_platform_is_no_tenant_id() {
        assert_eq!(TenantId::parse("platform"), Err(InvalidTenantId::Reserved));
        let platform = TenantId::recall("platform").unwrap();
        assert!(platform.is_platform() && platform == TenantId::platform());
        assert_eq!(TenantId::recall("system"), Err(InvalidTenantId::Reserved));
    }

    #[test]
    fn later_job_ids_sort_later_as_text() {
        let ids: Vec<String> = (0..100).map(|_| JobId::new().to_string()).collect();
        assert!(ids.is_sorted());
    }
}
