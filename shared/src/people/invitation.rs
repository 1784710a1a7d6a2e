//! Invitations, as their tenant sees them.
//!
//! `pending -> accepted | revoked | expired`, and never back. An invitation whose time is over is
//! shown as expired at once; its row says so when somebody needs its place.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use super::{EmailAddress, MailToken};
use crate::{
    db::{DbError, PlatformTx, Registrar, TenantTx},
    ids::{ApiKeyId, InvitationId, TenantId, UserId},
    tenancy::{Quota, QuotaError, Role, release_quota, release_quota_as_registrar, reserve_quota},
};

/// How long an invitation can be accepted.
pub const INVITATION_LASTS: TimeDelta = TimeDelta::days(7);

/// Where an invitation is in its life.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum InvitationState {
    /// It can be accepted.
    Pending,
    /// The person has become a member by it.
    Accepted,
    /// It was taken back.
    Revoked,
    /// Nobody accepted it in time.
    Expired,
}

impl InvitationState {
    /// The state's name as it is written in the API and the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Accepted => "accepted",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// An invitation. Whether the address belongs to somebody known is nowhere in it.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Invitation {
    /// The invitation.
    pub id: InvitationId,
    /// The tenant that invites.
    pub tenant_id: TenantId,
    /// Whom it is for: only the person of this address can accept it.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
    /// Where it is in its life.
    pub status: InvitationState,
    /// The member who invited, if with an API key then whoever made that; null = a key that nobody made.
    #[schema(required)]
    pub invited_by: Option<UserId>,
    /// When its newest mail was taken by a mail server; null = not yet.
    #[schema(required)]
    pub mailed_at: Option<DateTime<Utc>>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// Until when it can be accepted.
    pub expires_at: DateTime<Utc>,
    /// When it was accepted or revoked, or its time was over; null while it is pending.
    #[schema(required)]
    pub ended_at: Option<DateTime<Utc>>,
    /// Which sending it is, from 1; each voids the tokens before.
    #[serde(skip)]
    pub issue: i32,
    /// The newest issue that a mail server took; 0 = none.
    #[serde(skip)]
    pub mailed_issue: i32,
    /// SHA-256 of the newest issue's token.
    #[serde(skip)]
    pub token_hash: Vec<u8>,
}

/// An invitation to be.
#[derive(Debug, Clone)]
pub struct NewInvitation {
    /// The invitation.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: EmailAddress,
    /// The role that it gives; not a system administrator's.
    pub role: Role,
    /// Who invites.
    pub inviter: Inviter,
}

/// Who invites. Whoever does it with a key does it in the name of the one who made the key: what they may
/// not give any more when they are lowered or removed is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inviter {
    /// A person.
    Member(UserId),
    /// Whoever made this key.
    Key(ApiKeyId),
}

/// Writes an invitation of the transaction's tenant. It takes the place of the member to be; a second
/// one for an address that has one pending violates `invitations_pending_key`.
pub async fn insert_invitation(
    tx: &mut TenantTx,
    invitation: &NewInvitation,
    token: &MailToken,
    now: DateTime<Utc>,
) -> Result<Invitation, QuotaError> {
    let tenant = tx.tenant().clone();
    let expired = expire_invitations(tx.connection(), &tenant, now).await?;
    if expired > 0 {
        release_quota(tx, Quota::Users, expired).await?;
    }
    reserve_quota(tx, Quota::Users, 1).await?;
    let NewInvitation {
        id,
        email,
        role,
        inviter,
    } = invitation;
    let (member, key) = match inviter {
        Inviter::Member(member) => (Some(member.as_uuid()), None),
        Inviter::Key(key) => (None, Some(key.as_uuid())),
    };
    sqlx::query!(
        "INSERT INTO invitations (tenant_id, id, email, role, token_hash, invited_by, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5,
                 coalesce($6, (SELECT created_by FROM api_keys WHERE tenant_id = $1 AND id = $7)), $8, $9)",
        tenant.as_str(),
        id.as_uuid(),
        email.as_str(),
        role.as_str(),
        &token.hash()[..],
        member,
        key,
        now,
        now + INVITATION_LASTS,
    )
    .execute(tx.connection())
    .await
    .map_err(DbError::from)?;
    let written =
        select_invitations(tx.connection(), &tenant, Some(*id), None, None, now, 1).await?;
    written
        .into_iter()
        .next()
        .ok_or_else(|| DbError::from(sqlx::Error::RowNotFound).into())
}

/// Lets the row say of an invitation whose time is over that it has ended, so that the address can be
/// invited again. Answers how many there were: each held a place.
async fn expire_invitations(
    connection: &mut PgConnection,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<u32, DbError> {
    let done = sqlx::query!(
        "UPDATE invitations SET state = 'expired', ended_at = expires_at
         WHERE tenant_id = $1 AND state = 'pending' AND expires_at <= $2",
        tenant.as_str(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(u32::try_from(done.rows_affected()).unwrap_or(u32::MAX))
}

/// Gives back the places that invitations hold whose time is over, before somebody else takes one.
pub(super) async fn free_expired_places(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    now: DateTime<Utc>,
) -> Result<(), QuotaError> {
    let expired = expire_invitations(tx.connection(), tenant, now).await?;
    if expired > 0 {
        release_quota_as_registrar(tx, tenant, Quota::Users, expired).await?;
    }
    Ok(())
}

/// Places of the transaction's tenant that invitations hold whose time is over: they are free for
/// whoever asks for one.
pub async fn count_expired_places(tx: &mut TenantTx, now: DateTime<Utc>) -> Result<u32, DbError> {
    let tenant = tx.tenant().clone();
    let count = sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!" FROM invitations
           WHERE tenant_id = $1 AND state = 'pending' AND expires_at <= $2"#,
        tenant.as_str(),
        now,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// An invitation of the transaction's tenant.
pub async fn find_invitation(
    tx: &mut TenantTx,
    id: InvitationId,
    now: DateTime<Utc>,
) -> Result<Option<Invitation>, DbError> {
    let tenant = tx.tenant().clone();
    let found = select_invitations(tx.connection(), &tenant, Some(id), None, None, now, 1).await?;
    Ok(found.into_iter().next())
}

/// A page of the transaction's tenant's invitations, the newest first, before the given one.
pub async fn list_invitations(
    tx: &mut TenantTx,
    status: Option<InvitationState>,
    before: Option<InvitationId>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<Invitation>, DbError> {
    let tenant = tx.tenant().clone();
    select_invitations(tx.connection(), &tenant, None, status, before, now, limit).await
}

async fn select_invitations(
    connection: &mut PgConnection,
    tenant: &TenantId,
    id: Option<InvitationId>,
    status: Option<InvitationState>,
    before: Option<InvitationId>,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Invitation>, DbError> {
    let rows = sqlx::query_as!(
        Invitation,
        r#"SELECT id AS "id: InvitationId", tenant_id AS "tenant_id: TenantId", email, role AS "role: Role",
                  shown.status AS "status!: InvitationState", invited_by AS "invited_by: UserId", mailed_at,
                  created_at, expires_at,
                  CASE shown.status WHEN 'expired' THEN expires_at ELSE ended_at END AS ended_at,
                  issue, mailed_issue, token_hash
           FROM invitations
           CROSS JOIN LATERAL (SELECT CASE WHEN state = 'pending' AND expires_at <= $5 THEN 'expired' ELSE state END)
                AS shown (status)
           WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2) AND ($3::text IS NULL OR shown.status = $3)
             AND ($4::uuid IS NULL OR id < $4)
           ORDER BY id DESC LIMIT $6"#,
        tenant.as_str(),
        id.map(|id| id.as_uuid()),
        status.map(InvitationState::as_str),
        before.map(|id| id.as_uuid()),
        now,
        limit,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows)
}

/// Takes a pending invitation of the transaction's tenant back. Answers whether it was pending.
pub async fn revoke_invitation(
    tx: &mut TenantTx,
    id: InvitationId,
    now: DateTime<Utc>,
) -> Result<bool, QuotaError> {
    let tenant = tx.tenant().clone();
    let done = sqlx::query!(
        "UPDATE invitations SET state = 'revoked', ended_at = $3
         WHERE tenant_id = $1 AND id = $2 AND state = 'pending' AND expires_at > $3",
        tenant.as_str(),
        id.as_uuid(),
        now,
    )
    .execute(tx.connection())
    .await
    .map_err(DbError::from)?;
    let revoked = done.rows_affected() == 1;
    if revoked {
        release_quota(tx, Quota::Users, 1).await?;
    }
    Ok(revoked)
}

/// Takes back what a member has invited to and could still be accepted; only to roles above `above`, if that
/// is given. The places that it held are the caller's to give back.
pub(super) async fn revoke_invitations_of(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    member: UserId,
    above: Option<Role>,
    now: DateTime<Utc>,
) -> Result<Vec<InvitationId>, DbError> {
    let roles: Vec<String> = [Role::TenantViewer, Role::TenantMember, Role::TenantAdmin]
        .into_iter()
        .filter(|role| above.is_none_or(|above| *role > above))
        .map(|role| role.as_str().to_owned())
        .collect();
    let revoked = sqlx::query_scalar!(
        r#"UPDATE invitations SET state = 'revoked', ended_at = $4
           WHERE tenant_id = $1 AND invited_by = $2 AND role = ANY($3) AND state = 'pending' AND expires_at > $4
           RETURNING id AS "id: InvitationId""#,
        tenant.as_str(),
        member.as_uuid(),
        &roles,
        now,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(revoked)
}

/// Lets a pending invitation of the transaction's tenant begin anew under the token of `issue`, which
/// follows the issue that the row has: the tokens before are void. Answers whether it was so.
pub async fn reissue_invitation(
    tx: &mut TenantTx,
    id: InvitationId,
    issue: i32,
    token: &MailToken,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let tenant = tx.tenant().clone();
    let done = sqlx::query!(
        "UPDATE invitations SET issue = $3, token_hash = $4, expires_at = $5
         WHERE tenant_id = $1 AND id = $2 AND issue = $3 - 1 AND state = 'pending' AND expires_at > $6",
        tenant.as_str(),
        id.as_uuid(),
        issue,
        &token.hash()[..],
        now + INVITATION_LASTS,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Remembers that a mail server took this issue, so that no second mail goes out for it.
pub async fn mark_mailed(
    tx: &mut TenantTx,
    id: InvitationId,
    issue: i32,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let tenant = tx.tenant().clone();
    sqlx::query!(
        "UPDATE invitations SET mailed_issue = $3, mailed_at = $4
         WHERE tenant_id = $1 AND id = $2 AND mailed_issue < $3",
        tenant.as_str(),
        id.as_uuid(),
        issue,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
