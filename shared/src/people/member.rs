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
    tenancy::Role,
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

/// Gives a member of the transaction's tenant another role. With `version`, only if the membership is
/// that version.
pub async fn change_role(
    tx: &mut TenantTx,
    user: UserId,
    role: Role,
    version: Option<i64>,
) -> Result<Change, DbError> {
    if let Some(refusal) = refuse(tx, user, role == Role::TenantAdmin, version).await? {
        return Ok(refusal);
    }
    let tenant = tx.tenant().clone();
    let done = sqlx::query!(
        "UPDATE memberships SET role = $3, version = version + 1
         WHERE tenant_id = $1 AND user_id = $2 AND ($4::bigint IS NULL OR version = $4)",
        tenant.as_str(),
        user.as_uuid(),
        role.as_str(),
        version,
    )
    .execute(tx.connection())
    .await?;
    Ok(done_or_gone(done.rows_affected()))
}

/// Ends a membership of the transaction's tenant. With `version`, only if it is that version.
pub async fn remove_member(
    tx: &mut TenantTx,
    user: UserId,
    version: Option<i64>,
) -> Result<Change, DbError> {
    if let Some(refusal) = refuse(tx, user, false, version).await? {
        return Ok(refusal);
    }
    let tenant = tx.tenant().clone();
    let done = sqlx::query!(
        "DELETE FROM memberships
         WHERE tenant_id = $1 AND user_id = $2 AND ($3::bigint IS NULL OR version = $3)",
        tenant.as_str(),
        user.as_uuid(),
        version,
    )
    .execute(tx.connection())
    .await?;
    Ok(done_or_gone(done.rows_affected()))
}

/// The row was there a moment ago; if it is not any more, somebody else was first.
const fn done_or_gone(rows: u64) -> Change {
    if rows == 1 {
        Change::Done
    } else {
        Change::NoMember
    }
}

/// Why the change cannot be made; absent = it can. Until the transaction ends nobody else can take
/// an administrator away.
async fn refuse(
    tx: &mut TenantTx,
    user: UserId,
    stays_admin: bool,
    version: Option<i64>,
) -> Result<Option<Change>, DbError> {
    let admins = lock_admins(tx).await?;
    let Some(member) = find_member(tx, user).await? else {
        return Ok(Some(Change::NoMember));
    };
    if version.is_some_and(|seen| seen != member.version) {
        return Ok(Some(Change::OtherVersion));
    }
    let is_last = admins == [user];
    Ok((is_last && !stays_admin).then_some(Change::LastAdmin))
}

async fn lock_admins(tx: &mut TenantTx) -> Result<Vec<UserId>, DbError> {
    let tenant = tx.tenant().clone();
    let admins = sqlx::query_scalar!(
        r#"SELECT user_id AS "user_id: UserId" FROM memberships
           WHERE tenant_id = $1 AND role = 'tenant-admin'
           ORDER BY user_id FOR UPDATE"#,
        tenant.as_str(),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(admins)
}
