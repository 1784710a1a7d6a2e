//! A tenant's own identity provider.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, TenantTx},
    tenancy::Role,
};

/// Where a tenant's people are known, and as whom we ask there.
#[derive(Debug, Clone)]
pub struct IdentityProvider {
    /// Its address, which its tokens must name.
    pub issuer: String,
    /// Our name there.
    pub client_id: String,
    /// Our secret there, encrypted.
    pub sealed_secret: Vec<u8>,
    /// Whose addresses it may vouch for, in lower case; empty = all.
    pub email_domains: Vec<String>,
    /// What somebody new becomes; absent = nobody comes in without an invitation.
    pub default_role: Option<Role>,
    /// Rises with every change.
    pub version: i64,
    /// When it was first set.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// The highest role that somebody has by a provider's word alone: administrators are invited.
pub const MOST_BY_DEFAULT: Role = Role::TenantMember;

impl IdentityProvider {
    /// What somebody becomes whom nobody knows. A row may be older than the rule that such people have an
    /// address that is the tenant's, and are no administrators.
    #[must_use]
    pub fn newcomers_role(&self) -> Option<Role> {
        self.default_role
            .filter(|role| *role <= MOST_BY_DEFAULT && !self.email_domains.is_empty())
    }
}

/// A provider to be set.
#[derive(Debug, Clone)]
pub struct NewIdentityProvider {
    /// See [`IdentityProvider::issuer`].
    pub issuer: String,
    /// See [`IdentityProvider::client_id`].
    pub client_id: String,
    /// See [`IdentityProvider::sealed_secret`].
    pub sealed_secret: Vec<u8>,
    /// See [`IdentityProvider::email_domains`].
    pub email_domains: Vec<String>,
    /// See [`IdentityProvider::default_role`].
    pub default_role: Option<Role>,
}

/// The provider of the transaction's tenant.
pub async fn find_identity_provider(
    tx: &mut TenantTx,
) -> Result<Option<IdentityProvider>, DbError> {
    let tenant = tx.tenant().clone();
    let provider = sqlx::query_as!(
        IdentityProvider,
        r#"SELECT issuer, client_id, sealed_secret, email_domains, default_role AS "default_role: Role",
                  version, created_at, updated_at
           FROM identity_providers WHERE tenant_id = $1"#,
        tenant.as_str(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(provider)
}

/// Sets the provider of the transaction's tenant, in place of the one before.
pub async fn put_identity_provider(
    tx: &mut TenantTx,
    provider: &NewIdentityProvider,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    let NewIdentityProvider {
        issuer,
        client_id,
        sealed_secret,
        email_domains,
        default_role,
    } = provider;
    sqlx::query!(
        "INSERT INTO identity_providers AS known
             (tenant_id, issuer, client_id, sealed_secret, email_domains, default_role, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $7)
         ON CONFLICT (tenant_id) DO UPDATE SET
             issuer = excluded.issuer, client_id = excluded.client_id, sealed_secret = excluded.sealed_secret,
             email_domains = excluded.email_domains, default_role = excluded.default_role,
             version = known.version + 1, updated_at = excluded.updated_at",
        tenant.as_str(),
        issuer,
        client_id,
        sealed_secret,
        email_domains,
        default_role.map(Role::as_str),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Takes the provider of the transaction's tenant away, if there is one.
pub async fn delete_identity_provider(tx: &mut TenantTx) -> Result<(), DbError> {
    sqlx::query_scalar!(r#"SELECT delete_own_identity_provider() AS "gone!""#)
        .fetch_one(tx.connection())
        .await?;
    Ok(())
}
