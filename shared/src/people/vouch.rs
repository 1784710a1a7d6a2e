//! How a tenant's own identity provider lets somebody in.
//!
//! The provider is the tenant's: its word is good for the tenant's members, and for people whom nobody
//! knows yet. It makes nobody a member who has an account: they accept the invitation in their mail
//! first, and are then let in as the members that they are. An account that it makes has no password:
//! whoever reads the mails of the address takes it over, see [`super::admit`].

use chrono::{DateTime, Utc};

use super::{EmailAddress, NewPerson, find_person, invitation::free_expired_places};
use crate::{
    db::{DbError, PlatformTx, Registrar},
    ids::{TenantId, UserId},
    tenancy::{Quota, QuotaError, Role, reserve_quota_as_registrar},
};

/// Somebody whom the provider has shown to be who they say.
#[derive(Debug, Clone)]
pub struct Vouched {
    /// The provider.
    pub issuer: String,
    /// Its name for them, which never changes.
    pub subject: String,
    /// Their address, which it has verified.
    pub email: EmailAddress,
    /// Who they become if nobody knows them. The password is one that nobody knows, and counts as none.
    pub newcomer: NewPerson,
    /// What they become without an invitation; absent = they do not come in.
    pub default_role: Option<Role>,
}

/// Whom the provider means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recognised {
    /// The member.
    pub user: UserId,
    /// What they have become just now; absent = they were a member before.
    pub admitted_as: Option<Role>,
}

/// The member whom the provider means; whoever nobody knows yet comes in. `None` = they may not, and
/// nothing may be committed. Two first sign-ins at once may violate `users_email_key`, `identities_pkey`
/// or `memberships_pkey`: the one that is told so finds the member when it tries again.
pub async fn admit_vouched(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    vouched: &Vouched,
    now: DateTime<Utc>,
) -> Result<Option<Recognised>, QuotaError> {
    let known_before = |user| Recognised {
        user,
        admitted_as: None,
    };
    if let Some(user) = find_identity(tx, tenant, vouched).await? {
        return Ok(Some(known_before(user)));
    }
    let person = find_person(tx, &vouched.email).await?;
    let known = person.map(|person| person.id);
    if let Some(user) = known
        && has_membership(tx, tenant, user).await?
    {
        insert_identity(tx, tenant, vouched, user, now).await?;
        return Ok(Some(known_before(user)));
    }
    // The place is taken before it matters whether the address is known elsewhere: a tenant without a
    // free one is told the same of every address.
    let Some(role) = take_place(tx, tenant, vouched, now).await? else {
        return Ok(None);
    };
    if known.is_some() {
        return Ok(None);
    }
    let user = insert_newcomer(tx, vouched, now).await?;
    insert_member(tx, tenant, user, role, now).await?;
    insert_identity(tx, tenant, vouched, user, now).await?;
    Ok(Some(Recognised {
        user,
        admitted_as: Some(role),
    }))
}

/// The place that somebody new can have, and its role: the one that an invitation holds for them, or one
/// more. `None` = there is none for them.
async fn take_place(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    vouched: &Vouched,
    now: DateTime<Utc>,
) -> Result<Option<Role>, QuotaError> {
    let invited = take_invitation_of(tx, tenant, &vouched.email, now).await?;
    if let (None, Some(_)) = (invited, vouched.default_role) {
        free_expired_places(tx, tenant, now).await?;
        reserve_quota_as_registrar(tx, tenant, Quota::Users, 1).await?;
    }
    Ok(invited.or(vouched.default_role))
}

/// An identity goes with its membership, so whoever has one is a member.
async fn find_identity(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    vouched: &Vouched,
) -> Result<Option<UserId>, DbError> {
    let user = sqlx::query_scalar!(
        r#"SELECT user_id AS "user_id: UserId" FROM identities
           WHERE tenant_id = $1 AND issuer = $2 AND subject = $3"#,
        tenant.as_str(),
        vouched.issuer,
        vouched.subject,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(user)
}

async fn has_membership(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    user: UserId,
) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM memberships WHERE tenant_id = $1 AND user_id = $2) AS "found!""#,
        tenant.as_str(),
        user.as_uuid(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(found)
}

/// Uses up the pending invitation of this address, unless the transaction is given up, and answers the role that it gives.
async fn take_invitation_of(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    email: &EmailAddress,
    now: DateTime<Utc>,
) -> Result<Option<Role>, DbError> {
    let role = sqlx::query_scalar!(
        r#"UPDATE invitations SET state = 'accepted', ended_at = $3
           WHERE tenant_id = $1 AND lower(email) = lower($2) AND state = 'pending' AND expires_at > $3
           RETURNING role AS "role: Role""#,
        tenant.as_str(),
        email.as_str(),
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(role)
}

async fn insert_newcomer(
    tx: &mut PlatformTx<Registrar>,
    vouched: &Vouched,
    now: DateTime<Utc>,
) -> Result<UserId, DbError> {
    let NewPerson {
        id,
        name,
        password_hash,
    } = &vouched.newcomer;
    sqlx::query!(
        "INSERT INTO users (id, email, name, password_hash, has_password, must_change_password, created_at)
         VALUES ($1, $2, $3, $4, false, false, $5)",
        id.as_uuid(),
        vouched.email.as_str(),
        name.as_deref(),
        password_hash,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(*id)
}

async fn insert_member(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    user: UserId,
    role: Role,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)",
        tenant.as_str(),
        user.as_uuid(),
        role.as_str(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// A member whom the provider knew by another name before violates `identities_user_key`.
async fn insert_identity(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    vouched: &Vouched,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO identities (tenant_id, issuer, subject, user_id, created_at)
         VALUES ($1, $2, $3, $4, $5)",
        tenant.as_str(),
        vouched.issuer,
        vouched.subject,
        user.as_uuid(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
