//! Members of a tenant.
//!
//! A tenant always has an administrator who can log in. Whoever lowers or removes one first locks every
//! administrator's row, always in the same order: of two that act at once the second waits, and then
//! counts what the first has left.
//!
//! Whoever leaves takes nothing along: their sessions of the tenant, the keys that they made and the
//! invitations that they sent end in the same transaction, so nothing comes back with them. Sessions and
//! the state of a person are no tenant's rows, so this is the registrar's.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{EmailAddress, Person, invitation::revoke_invitations_of};
use crate::{
    db::{DbError, PlatformTx, Registrar, TenantTx},
    ids::{ApiKeyId, InvitationId, TenantId, UserId},
    sessions::end_sessions_in,
    tenancy::{Quota, QuotaError, Role, release_quota_as_registrar, revoke_keys_of},
};

/// A member, with what others may know of the person.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Member {
    /// The person.
    pub user_id: UserId,
    /// Where mail reaches them.
    pub email: String,
    /// What they call themselves; null = they did not say.
    #[schema(required)]
    pub name: Option<String>,
    /// What they may do in this tenant.
    pub role: Role,
    /// Since when they are a member.
    pub created_at: DateTime<Utc>,
    /// Rises with every change.
    #[serde(skip)]
    pub version: i64,
}

/// A membership without the person.
#[derive(Debug, Clone)]
pub struct MemberRow {
    /// The person.
    pub user_id: UserId,
    /// What they may do in this tenant.
    pub role: Role,
    /// Rises with every change.
    pub version: i64,
    /// Since when they are a member.
    pub created_at: DateTime<Utc>,
}

/// Why a membership was not changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unchanged {
    /// Nobody of this id is a member.
    NoMember,
    /// The membership is another version than the one that the caller has seen.
    OtherVersion,
    /// The tenant would be left without an administrator who can log in.
    LastAdmin,
}

/// What ended together with a membership.
#[derive(Debug, Clone, Serialize)]
pub struct Departure {
    /// Logins.
    pub sessions_ended: u64,
    /// Keys that the person had made.
    pub api_keys_revoked: Vec<ApiKeyId>,
    /// Invitations that the person had sent.
    pub invitations_revoked: Vec<InvitationId>,
}

impl MemberRow {
    /// The member, if the person is among `people`.
    #[must_use]
    pub fn with(self, people: &HashMap<UserId, Person>) -> Option<Member> {
        let Person { email, name, .. } = people.get(&self.user_id)?.clone();
        Some(Member {
            user_id: self.user_id,
            email,
            name,
            role: self.role,
            created_at: self.created_at,
            version: self.version,
        })
    }
}

/// A page of the transaction's tenant's members after the given one, by id.
pub async fn list_members(
    tx: &mut TenantTx,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<MemberRow>, DbError> {
    let tenant = tx.tenant().clone();
    let rows = sqlx::query_as!(
        MemberRow,
        r#"SELECT user_id AS "user_id: UserId", role AS "role: Role", version, created_at
           FROM memberships
           WHERE tenant_id = $1 AND ($2::uuid IS NULL OR user_id > $2)
           ORDER BY user_id LIMIT $3"#,
        tenant.as_str(),
        after.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}

/// A member of the transaction's tenant.
pub async fn find_member(tx: &mut TenantTx, user: UserId) -> Result<Option<MemberRow>, DbError> {
    let tenant = tx.tenant().clone();
    let row = sqlx::query_as!(
        MemberRow,
        r#"SELECT user_id AS "user_id: UserId", role AS "role: Role", version, created_at
           FROM memberships WHERE tenant_id = $1 AND user_id = $2"#,
        tenant.as_str(),
        user.as_uuid(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row)
}

/// Whether the person whom mail reaches at this address is a member of this tenant. Of people of
/// other tenants it tells nothing.
pub async fn is_member(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    email: &EmailAddress,
) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM memberships JOIN users ON users.id = memberships.user_id
                          WHERE tenant_id = $1 AND lower(users.email) = lower($2)) AS "found!""#,
        tenant.as_str(),
        email.as_str(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(found)
}

/// Gives a member another role, if the version that the membership has is one that the caller means.
/// Answers the invitations that are taken back, because they give more than their sender now has.
pub async fn change_role(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    (user, role): (UserId, Role),
    means: impl Fn(i64) -> bool + Send,
    now: DateTime<Utc>,
) -> Result<Result<Vec<InvitationId>, Unchanged>, QuotaError> {
    let stays_admin = role == Role::TenantAdmin;
    if let Some(why) = refuse(tx, tenant, user, stays_admin, means).await? {
        return Ok(Err(why));
    }
    sqlx::query!(
        "UPDATE memberships SET role = $3, version = version + 1
         WHERE tenant_id = $1 AND user_id = $2",
        tenant.as_str(),
        user.as_uuid(),
        role.as_str(),
    )
    .execute(tx.connection())
    .await
    .map_err(DbError::from)?;
    let revoked = revoke_invitations_of(tx, tenant, user, Some(role), now).await?;
    give_back(tx, tenant, revoked.len()).await?;
    Ok(Ok(revoked))
}

/// Ends a membership, if its version is one that the caller means, with all that the person has in the
/// tenant by it, and gives the places back.
pub async fn remove_member(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    user: UserId,
    means: impl Fn(i64) -> bool + Send,
    now: DateTime<Utc>,
) -> Result<Result<Departure, Unchanged>, QuotaError> {
    if let Some(why) = refuse(tx, tenant, user, false, means).await? {
        return Ok(Err(why));
    }
    sqlx::query!(
        "DELETE FROM memberships WHERE tenant_id = $1 AND user_id = $2",
        tenant.as_str(),
        user.as_uuid(),
    )
    .execute(tx.connection())
    .await
    .map_err(DbError::from)?;
    let invitations_revoked = revoke_invitations_of(tx, tenant, user, None, now).await?;
    give_back(tx, tenant, invitations_revoked.len() + 1).await?;
    Ok(Ok(Departure {
        sessions_ended: end_sessions_in(tx, tenant, user, now).await?,
        api_keys_revoked: revoke_keys_of(tx, tenant, user, now).await?,
        invitations_revoked,
    }))
}

async fn give_back(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    places: usize,
) -> Result<(), QuotaError> {
    match u32::try_from(places).unwrap_or(u32::MAX) {
        0 => Ok(()),
        places => release_quota_as_registrar(tx, tenant, Quota::Users, places).await,
    }
}

/// Why the change cannot be made; absent = it can. Until the transaction ends nobody else can change
/// this membership or take an administrator away.
async fn refuse(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    user: UserId,
    stays_admin: bool,
    means: impl Fn(i64) -> bool + Send,
) -> Result<Option<Unchanged>, DbError> {
    let locked = lock_admins_and(tx, tenant, user).await?;
    let Some(member) = locked.iter().find(|locked| locked.user == user) else {
        return Ok(Some(Unchanged::NoMember));
    };
    if !means(member.version) {
        return Ok(Some(Unchanged::OtherVersion));
    }
    // Whoever else was locked is an administrator.
    let is_last = member.role == Role::TenantAdmin
        && !locked
            .iter()
            .any(|other| other.user != user && !other.is_disabled);
    Ok((is_last && !stays_admin).then_some(Unchanged::LastAdmin))
}

struct Locked {
    user: UserId,
    role: Role,
    version: i64,
    is_disabled: bool,
}

/// Locks every administrator's row and the user's own.
async fn lock_admins_and(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    user: UserId,
) -> Result<Vec<Locked>, DbError> {
    let rows = sqlx::query_as!(
        Locked,
        r#"SELECT membership.user_id AS "user: UserId", membership.role AS "role: Role", membership.version,
                  person.disabled_at IS NOT NULL AS "is_disabled!"
           FROM memberships AS membership JOIN users AS person ON person.id = membership.user_id
           WHERE membership.tenant_id = $1 AND (membership.role = 'tenant-admin' OR membership.user_id = $2)
           ORDER BY membership.user_id FOR UPDATE OF membership"#,
        tenant.as_str(),
        user.as_uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows)
}
