//! Members of a tenant.
//!
//! A tenant always has an administrator. Whoever lowers or removes one first locks every
//! administrator's row, always in the same order: of two that act at once the second waits, and then
//! counts what the first has left.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{EmailAddress, Person};
use crate::{
    db::{DbError, PlatformTx, Registrar, TenantTx},
    ids::{TenantId, UserId},
    tenancy::{Quota, QuotaError, Role, release_quota},
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

/// What became of a change to a membership.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is done.
    Done,
    /// Nobody of this id is a member.
    NoMember,
    /// The membership is another version than the one that the caller has seen.
    OtherVersion,
    /// The tenant would be left without an administrator.
    LastAdmin,
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

/// Gives a member of the transaction's tenant another role, if the version that the membership has is
/// one that the caller means.
pub async fn change_role(
    tx: &mut TenantTx,
    user: UserId,
    role: Role,
    means: impl Fn(i64) -> bool + Send,
) -> Result<Change, DbError> {
    if let Some(refusal) = refuse(tx, user, role == Role::TenantAdmin, means).await? {
        return Ok(refusal);
    }
    let tenant = tx.tenant().clone();
    sqlx::query!(
        "UPDATE memberships SET role = $3, version = version + 1
         WHERE tenant_id = $1 AND user_id = $2",
        tenant.as_str(),
        user.as_uuid(),
        role.as_str(),
    )
    .execute(tx.connection())
    .await?;
    Ok(Change::Done)
}

/// Ends a membership of the transaction's tenant, if its version is one that the caller means,
/// and gives the place back.
pub async fn remove_member(
    tx: &mut TenantTx,
    user: UserId,
    means: impl Fn(i64) -> bool + Send,
) -> Result<Change, QuotaError> {
    if let Some(refusal) = refuse(tx, user, false, means).await? {
        return Ok(refusal);
    }
    sqlx::query!(
        r#"SELECT delete_own_membership($1) AS "gone!""#,
        user.as_uuid(),
    )
    .fetch_one(tx.connection())
    .await
    .map_err(DbError::from)?;
    release_quota(tx, Quota::Users, 1).await?;
    Ok(Change::Done)
}

/// Why the change cannot be made; absent = it can. Until the transaction ends nobody else can change
/// this membership or take an administrator away.
async fn refuse(
    tx: &mut TenantTx,
    user: UserId,
    stays_admin: bool,
    means: impl Fn(i64) -> bool + Send,
) -> Result<Option<Change>, DbError> {
    let locked = lock_admins_and(tx, user).await?;
    let Some((_, role, version)) = locked.iter().find(|(id, ..)| *id == user) else {
        return Ok(Some(Change::NoMember));
    };
    if !means(*version) {
        return Ok(Some(Change::OtherVersion));
    }
    // Whoever else was locked is an administrator.
    let is_last = *role == Role::TenantAdmin && locked.len() == 1;
    Ok((is_last && !stays_admin).then_some(Change::LastAdmin))
}

/// Locks every administrator's row and the user's own.
async fn lock_admins_and(
    tx: &mut TenantTx,
    user: UserId,
) -> Result<Vec<(UserId, Role, i64)>, DbError> {
    let tenant = tx.tenant().clone();
    let rows = sqlx::query!(
        r#"SELECT user_id AS "user_id: UserId", role AS "role: Role", version FROM memberships
           WHERE tenant_id = $1 AND (role = 'tenant-admin' OR user_id = $2)
           ORDER BY user_id FOR UPDATE"#,
        tenant.as_str(),
        user.as_uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    let rows = rows
        .into_iter()
        .map(|row| (row.user_id, row.role, row.version));
    Ok(rows.collect())
}
