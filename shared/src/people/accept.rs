//! How an invitation lets somebody in.
//!
//! Nobody knows the tenant before the token is known, and a person belongs to none, so this is the
//! registrar's. The invitation is taken first, by one guarded statement: of two that accept it at
//! once, one waits for the other and then finds nothing to take.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::MailToken;
use crate::{
    db::{DbError, PlatformTx, Registrar},
    ids::{InvitationId, TenantId, UserId},
    tenancy::{Quota, QuotaError, Role, release_quota_as_registrar},
};

/// An invitation that can be accepted, and who it is for.
#[derive(Debug, Clone)]
pub struct OpenInvitation {
    /// The tenant that invites.
    pub tenant_id: TenantId,
    /// The invitation.
    pub id: InvitationId,
    /// Whom it is for.
    pub email: String,
    /// The role that it gives.
    pub role: Role,
    /// The person of that address; absent = nobody is known there.
    pub user_id: Option<UserId>,
    /// Whether that person has a password of their own. Without one their account rests on the word of a
    /// tenant's identity provider, and the mail is the first proof of who they are.
    pub has_password: bool,
}

/// A person who signs up.
#[derive(Debug, Clone)]
pub struct NewPerson {
    /// Who.
    pub id: UserId,
    /// What they call themselves; absent = they did not say.
    pub name: Option<String>,
    /// Argon2id, PHC string.
    pub password_hash: String,
}

/// Who comes in.
#[derive(Debug, Clone)]
pub enum Entry {
    /// Somebody new.
    New(NewPerson),
    /// Somebody whose account was made by a provider's word, and who takes it over with a first password.
    Claiming(NewPerson),
    /// Somebody who has proved to be this person.
    Known(UserId),
}

/// Where somebody has come in.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Admitted {
    /// The tenant.
    pub tenant_id: TenantId,
    /// The person.
    pub user_id: UserId,
    /// Their address, which is also their login name.
    pub email: String,
    /// What they may do there; whoever was a member already may do what they could.
    pub role: Role,
}

/// The pending invitation of this token, if its tenant is in use.
pub async fn find_open_invitation(
    tx: &mut PlatformTx<Registrar>,
    token: &MailToken,
    now: DateTime<Utc>,
) -> Result<Option<OpenInvitation>, DbError> {
    let found = sqlx::query_as!(
        OpenInvitation,
        r#"SELECT invitation.tenant_id AS "tenant_id: TenantId", invitation.id AS "id: InvitationId",
                  invitation.email, invitation.role AS "role: Role", person.id AS "user_id?: UserId",
                  coalesce(person.has_password, false) AS "has_password!"
           FROM invitations AS invitation
           JOIN tenants AS tenant ON tenant.id = invitation.tenant_id AND tenant.status = 'active'
           LEFT JOIN users AS person ON lower(person.email) = lower(invitation.email)
           WHERE invitation.token_hash = $1 AND invitation.state = 'pending' AND invitation.expires_at > $2"#,
        &token.hash()[..],
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(found)
}

/// Uses the invitation up and makes the person a member. `None` = somebody was first, or it was taken
/// back meanwhile, or the account to be taken over is disabled or has an owner. Then nothing may be
/// committed. Somebody new whose address has become known meanwhile violates `users_email_key`.
/// The invitation's place becomes the member's; whoever is a member already keeps their role, and the
/// place is given back.
pub async fn admit(
    tx: &mut PlatformTx<Registrar>,
    invitation: &OpenInvitation,
    token: &MailToken,
    entry: &Entry,
    now: DateTime<Utc>,
) -> Result<Option<Admitted>, QuotaError> {
    if !take_invitation(tx, invitation, token, now).await? {
        return Ok(None);
    }
    let user_id = match entry {
        Entry::New(person) => {
            insert_person(tx, person, &invitation.email, now).await?;
            person.id
        }
        Entry::Claiming(person) => {
            if !claim_account(tx, person).await? {
                return Ok(None);
            }
            person.id
        }
        Entry::Known(user) => *user,
    };
    let role = if insert_membership(tx, invitation, user_id, now).await? {
        invitation.role
    } else {
        release_quota_as_registrar(tx, &invitation.tenant_id, Quota::Users, 1).await?;
        find_role(tx, invitation, user_id).await?
    };
    Ok(Some(Admitted {
        tenant_id: invitation.tenant_id.clone(),
        user_id,
        email: invitation.email.clone(),
        role,
    }))
}

async fn take_invitation(
    tx: &mut PlatformTx<Registrar>,
    invitation: &OpenInvitation,
    token: &MailToken,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE invitations SET state = 'accepted', ended_at = $4
         WHERE tenant_id = $1 AND id = $2 AND token_hash = $3 AND state = 'pending' AND expires_at > $4",
        invitation.tenant_id.as_str(),
        invitation.id.as_uuid(),
        &token.hash()[..],
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn insert_person(
    tx: &mut PlatformTx<Registrar>,
    person: &NewPerson,
    email: &str,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO users (id, email, name, password_hash, must_change_password, created_at)
         VALUES ($1, $2, $3, $4, false, $5)",
        person.id.as_uuid(),
        email,
        person.name,
        person.password_hash,
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Gives an account that nobody has a password of its owner's name and first password. Whoever was let in
/// under it by a provider's word is let in no more: the epoch ends their sessions.
async fn claim_account(
    tx: &mut PlatformTx<Registrar>,
    person: &NewPerson,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE users SET name = $2, password_hash = $3, has_password = true, token_epoch = token_epoch + 1
         WHERE id = $1 AND NOT has_password AND disabled_at IS NULL",
        person.id.as_uuid(),
        person.name,
        person.password_hash,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn find_role(
    tx: &mut PlatformTx<Registrar>,
    invitation: &OpenInvitation,
    user: UserId,
) -> Result<Role, DbError> {
    let role = sqlx::query_scalar!(
        r#"SELECT role AS "role: Role" FROM memberships WHERE tenant_id = $1 AND user_id = $2"#,
        invitation.tenant_id.as_str(),
        user.as_uuid(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(role)
}

/// Answers whether they were none before.
async fn insert_membership(
    tx: &mut PlatformTx<Registrar>,
    invitation: &OpenInvitation,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "INSERT INTO memberships (tenant_id, user_id, role, created_at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (tenant_id, user_id) DO NOTHING",
        invitation.tenant_id.as_str(),
        user.as_uuid(),
        invitation.role.as_str(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}
