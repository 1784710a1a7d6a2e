//! Whether something that a tenant asked for in vain is another tenant's, for the audit log.

use crate::{
    db::{DbError, PlatformTx, Registrar},
    ids::{InvitationId, TenantId, UserId},
};

/// Whether there is such an invitation, and it is not this tenant's.
pub async fn is_invitation_elsewhere(
    tx: &mut PlatformTx<Registrar>,
    id: InvitationId,
    tenant: &TenantId,
) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM invitations WHERE id = $1 AND tenant_id <> $2) AS "found!""#,
        id.as_uuid(),
        tenant.as_str(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(found)
}

/// Whether the person is a member somewhere, and not of this tenant.
pub async fn is_member_elsewhere(
    tx: &mut PlatformTx<Registrar>,
    user: UserId,
    tenant: &TenantId,
) -> Result<bool, DbError> {
    let found = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM memberships WHERE user_id = $1 AND tenant_id <> $2)
              AND NOT EXISTS (SELECT FROM memberships WHERE user_id = $1 AND tenant_id = $2) AS "found!""#,
        user.as_uuid(),
        tenant.as_str(),
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(found)
}
