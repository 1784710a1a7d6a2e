//! Sessions: a session's rows decide what its tokens are worth, at every request.

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;

use crate::{
    db::{Authenticator, DbError, Issuer, PlatformTx, Registrar},
    ids::{SessionId, TenantId, UserId},
    tenancy::{Role, TenantStatus},
};

/// How long a session can be refreshed, from its login.
pub const SESSION_LIFE: TimeDelta = TimeDelta::days(30);

/// A session to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// Its name.
    pub id: SessionId,
    /// Who logs in.
    pub user: UserId,
    /// Where; absent = the platform.
    pub tenant: Option<TenantId>,
    /// The person's epoch.
    pub epoch: i64,
    /// What it rests on.
    pub opened_with: OpenedWith,
}

/// What a session rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum OpenedWith {
    /// The person's own password.
    Password,
    /// The word of the identity provider of the session's tenant: no proof anywhere else.
    IdentityProvider,
}

impl OpenedWith {
    /// The name as the database and the audit log have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::IdentityProvider => "identity_provider",
        }
    }
}

/// Who a live session belongs to, as things are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionOwner {
    /// The session.
    pub session: SessionId,
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Whether they can do nothing before they have changed their password.
    pub must_change_password: bool,
    /// The person's epoch.
    pub epoch: i64,
    /// Where they are logged in; absent = the platform.
    pub tenant: Option<TenantId>,
    /// Whether that tenant is in use; absent for the platform.
    pub tenant_status: Option<TenantStatus>,
    /// What they may there now; absent = they are no member any more.
    pub role: Option<Role>,
    /// What the session rests on.
    pub opened_with: OpenedWith,
    /// When the session cannot be refreshed any more.
    pub expires_at: DateTime<Utc>,
}

/// Why a session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// Its owner wanted it.
    Logout,
    /// A refresh token was used twice: one of the two who have it has stolen it.
    Reuse,
    /// Its owner was removed from its tenant.
    Removed,
}

impl EndReason {
    /// The reason as the database and the audit log have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Reuse => "reuse",
            Self::Removed => "removed",
        }
    }
}

/// Writes a session that begins now.
pub async fn insert_session(
    tx: &mut PlatformTx<Issuer>,
    session: &NewSession,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "INSERT INTO sessions (id, user_id, tenant, epoch, opened_with, created_at, refreshed_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $6, $7)",
        session.id.as_uuid(),
        session.user.as_uuid(),
        session.tenant.as_ref().map(TenantId::as_str),
        session.epoch,
        session.opened_with.as_str(),
        now,
        now + SESSION_LIFE,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// The owner of a session that is live. An epoch that has risen, a person who was disabled, an end of
/// its own: then there is none.
pub async fn find_session_owner(
    tx: &mut PlatformTx<Authenticator>,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<SessionOwner>, DbError> {
    select_owner(tx.connection(), session, now).await
}

/// The same, for whoever is about to make new tokens.
pub async fn find_refreshed_session(
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<SessionOwner>, DbError> {
    select_owner(tx.connection(), session, now).await
}

async fn select_owner(
    connection: &mut PgConnection,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<Option<SessionOwner>, DbError> {
    let owner = sqlx::query_as!(
        SessionOwner,
        r#"SELECT session.id AS "session: SessionId", person.id AS "user: UserId", person.email,
                  person.must_change_password, person.token_epoch AS epoch,
                  session.tenant AS "tenant: TenantId", tenant.status AS "tenant_status?: TenantStatus",
                  CASE WHEN session.tenant IS NULL THEN person.platform_role ELSE membership.role END
                      AS "role: Role",
                  session.opened_with AS "opened_with: OpenedWith", session.expires_at
           FROM sessions AS session
           JOIN users AS person ON person.id = session.user_id
           LEFT JOIN tenants AS tenant ON tenant.id = session.tenant
           LEFT JOIN memberships AS membership
                  ON membership.tenant_id = session.tenant AND membership.user_id = session.user_id
           WHERE session.id = $1 AND session.ended_at IS NULL AND session.expires_at > $2
             AND session.epoch = person.token_epoch AND person.disabled_at IS NULL"#,
        session.as_uuid(),
        now,
    )
    .fetch_optional(connection)
    .await?;
    Ok(owner)
}

/// Ends a session. One that has ended keeps its reason.
pub async fn end_session(
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
    reason: EndReason,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE sessions SET ended_at = $2, end_reason = $3 WHERE id = $1 AND ended_at IS NULL",
        session.as_uuid(),
        now,
        reason.as_str(),
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Ends whatever sessions of a tenant somebody has who leaves it. Answers how many there were.
pub(crate) async fn end_sessions_in(
    tx: &mut PlatformTx<Registrar>,
    tenant: &TenantId,
    user: UserId,
    now: DateTime<Utc>,
) -> Result<u64, DbError> {
    let ended = sqlx::query!(
        "UPDATE sessions SET ended_at = $3, end_reason = $4
         WHERE user_id = $2 AND tenant = $1 AND ended_at IS NULL",
        tenant.as_str(),
        user.as_uuid(),
        now,
        EndReason::Removed.as_str(),
    )
    .execute(tx.connection())
    .await?;
    Ok(ended.rows_affected())
}

/// Notes that a session was refreshed.
pub async fn mark_refreshed(
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE sessions SET refreshed_at = $2 WHERE id = $1",
        session.as_uuid(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Takes a live session over into its person's new epoch, alone of all their sessions.
pub async fn renew_session_epoch(
    tx: &mut PlatformTx<Issuer>,
    session: SessionId,
    epoch: i64,
) -> Result<(), DbError> {
    sqlx::query!(
        "UPDATE sessions SET epoch = $2 WHERE id = $1 AND ended_at IS NULL",
        session.as_uuid(),
        epoch,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}
