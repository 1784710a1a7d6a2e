//! Who logs in: their account, and where it may take them.

use chrono::{DateTime, Utc};

use crate::{
    db::{DbError, Issuer, PlatformTx},
    ids::{TenantId, UserId},
    tenancy::{Role, TenantStatus},
};

/// What is needed to let somebody in.
#[derive(Clone)]
pub struct Account {
    /// The person.
    pub id: UserId,
    /// Their address as they wrote it.
    pub email: String,
    /// Argon2id, PHC string.
    pub password_hash: String,
    /// Whether they can do nothing before they have changed their password.
    pub must_change_password: bool,
    /// What they may on the platform; absent = nothing.
    pub platform_role: Option<Role>,
    /// Ends what was made under an earlier one.
    pub token_epoch: i64,
    /// Since when they cannot log in; absent = they can.
    pub disabled_at: Option<DateTime<Utc>>,
}

/// A tenant that somebody may log in to.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The tenant.
    pub tenant: TenantId,
    /// Whether it is in use.
    pub status: TenantStatus,
    /// Their role there.
    pub role: Role,
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Account")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// The account of an address, whatever its upper and lower case.
pub async fn find_account(
    tx: &mut PlatformTx<Issuer>,
    email: &str,
) -> Result<Option<Account>, DbError> {
    let account = sqlx::query_as!(
        Account,
        r#"SELECT id AS "id: UserId", email, password_hash, must_change_password,
                  platform_role AS "platform_role: Role", token_epoch, disabled_at
           FROM users WHERE lower(email) = lower($1)"#,
        email,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(account)
}

/// A person's account.
pub async fn find_account_of(
    tx: &mut PlatformTx<Issuer>,
    user: UserId,
) -> Result<Option<Account>, DbError> {
    let account = sqlx::query_as!(
        Account,
        r#"SELECT id AS "id: UserId", email, password_hash, must_change_password,
                  platform_role AS "platform_role: Role", token_epoch, disabled_at
           FROM users WHERE id = $1"#,
        user.as_uuid(),
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(account)
}

/// Where somebody may log in, by slug. Tenants of which nothing is left are not among them.
pub async fn list_choices(
    tx: &mut PlatformTx<Issuer>,
    user: UserId,
) -> Result<Vec<Choice>, DbError> {
    let choices = sqlx::query_as!(
        Choice,
        r#"SELECT tenant.id AS "tenant: TenantId", tenant.status AS "status: TenantStatus",
                  membership.role AS "role: Role"
           FROM memberships AS membership JOIN tenants AS tenant ON tenant.id = membership.tenant_id
           WHERE membership.user_id = $1 AND tenant.status <> 'purged'
           ORDER BY tenant.id"#,
        user.as_uuid(),
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(choices)
}

/// Sets a new password, unless it was changed since `account` was read, and ends all that was made
/// under the epoch before. The answer is the new epoch; absent = it was changed.
pub async fn replace_password(
    tx: &mut PlatformTx<Issuer>,
    account: &Account,
    password_hash: &str,
) -> Result<Option<i64>, DbError> {
    let epoch = sqlx::query_scalar!(
        "UPDATE users SET password_hash = $3, must_change_password = false, token_epoch = token_epoch + 1
         WHERE id = $1 AND password_hash = $2
         RETURNING token_epoch",
        account.id.as_uuid(),
        account.password_hash,
        password_hash,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(epoch)
}
