//! Leave for a system administrator to act inside a tenant, and the token that stands for it.
//!
//! The tenant of a request comes from its credential alone, also here: the token names nothing that a
//! request could change, and the stored grant says whose it is, where, as what, and until when. It ends
//! with the administrator's own key, if that is revoked first.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    InvalidApiKey, Role, Scopes, TenantStatus,
    api_key::{CHECKSUM_LENGTH, RANDOM_LENGTH, fresh_text, has_checksum},
};
use crate::{
    db::{Authenticator, DbError, Operator, PlatformTx, TenantTx},
    ids::{ActAsId, ApiKeyId, SessionId, TenantId, UserId},
};

/// `ua_{tenant with - as _}_{30 base62}{6 base62 checksum}`. It has no `Display`: whoever shows it must
/// say so with [`ActAsToken::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct ActAsToken(String);

const PREFIX: &str = "ua_";

impl ActAsToken {
    /// A fresh token.
    #[must_use]
    pub fn generate(tenant: &TenantId) -> Self {
        Self(fresh_text(PREFIX, Some(tenant)))
    }

    /// Reads a token and checks its checksum, so that an invented one costs no look-up.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKey> {
        let long_enough = PREFIX.len() + RANDOM_LENGTH + CHECKSUM_LENGTH;
        if !text.starts_with(PREFIX)
            || !text.is_ascii()
            || !(long_enough..=128).contains(&text.len())
        {
            return Err(InvalidApiKey);
        }
        if has_checksum(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidApiKey)
        }
    }

    /// The token in clear text, for the one answer that shows it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

impl fmt::Debug for ActAsToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ActAsToken(...)")
    }
}

/// The administrator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActAsActor {
    /// By a key.
    ApiKey(ApiKeyId),
    /// By a login.
    User(UserId, SessionId),
}

/// A grant as it is shown.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct ActAsGrant {
    /// Its id, which the audit log names as `act_as`.
    pub id: ActAsId,
    /// Where.
    pub tenant_id: TenantId,
    /// `user` or `api_key`.
    pub actor_kind: String,
    /// The administrator's id.
    pub actor_id: Uuid,
    /// What people know the administrator by.
    pub actor_display: String,
    /// As what.
    pub role: Role,
    /// Why, in the administrator's words.
    pub reason: String,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// When it ends by itself.
    pub expires_at: DateTime<Utc>,
    /// When it was ended before; null = it was not.
    #[schema(required)]
    pub ended_at: Option<DateTime<Utc>>,
}

/// A grant to be.
#[derive(Debug, Clone)]
pub struct NewActAs {
    /// The grant as it will be shown.
    pub grant: ActAsGrant,
    /// The administrator.
    pub actor: ActAsActor,
    /// What stands for it.
    pub token: ActAsToken,
}

/// Who acts with a token.
#[derive(Debug, Clone)]
pub struct Acting {
    /// The grant.
    pub id: ActAsId,
    /// Where.
    pub tenant_id: TenantId,
    /// What has become of the tenant.
    pub tenant_status: TenantStatus,
    /// The administrator.
    pub actor: ActAsActor,
    /// What people know the administrator by.
    pub actor_display: String,
    /// As what.
    pub role: Role,
    /// What the administrator's key is confined to, and so what they are here.
    pub scopes: Scopes,
    /// Why.
    pub reason: String,
    /// Until when.
    pub expires_at: DateTime<Utc>,
}

/// Writes a grant.
pub async fn insert_act_as(tx: &mut PlatformTx<Operator>, new: &NewActAs) -> Result<(), DbError> {
    let NewActAs {
        grant,
        actor,
        token,
    } = new;
    let session = match actor {
        ActAsActor::ApiKey(_) => None,
        ActAsActor::User(_, session) => Some(session.as_uuid()),
    };
    sqlx::query!(
        "INSERT INTO act_as_grants (tenant_id, id, actor_kind, actor_id, session_id, actor_display, role, reason,
                                    token_hash, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        grant.tenant_id.as_str(),
        grant.id.as_uuid(),
        grant.actor_kind,
        grant.actor_id,
        session,
        grant.actor_display,
        grant.role.as_str(),
        grant.reason,
        &token.hash()[..],
        grant.created_at,
        grant.expires_at,
    )
    .execute(tx.connection())
    .await?;
    Ok(())
}

/// Ends a grant; `false` if it has ended or there is none.
pub async fn end_act_as(
    tx: &mut PlatformTx<Operator>,
    tenant: &TenantId,
    id: ActAsId,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let done = sqlx::query!(
        "UPDATE act_as_grants SET ended_at = $3
         WHERE tenant_id = $1 AND id = $2 AND ended_at IS NULL AND expires_at > $3",
        tenant.as_str(),
        id.as_uuid(),
        now,
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Who acts with this token, if its grant has not ended and the credential that it was given to is
/// still a system administrator's: a key that is neither revoked nor past its end, whose maker is one
/// too, or a session that has not ended.
pub async fn find_acting(
    tx: &mut PlatformTx<Authenticator>,
    token: &ActAsToken,
    now: DateTime<Utc>,
) -> Result<Option<Acting>, DbError> {
    let row = sqlx::query!(
        r#"SELECT acting.id AS "id: ActAsId", acting.tenant_id AS "tenant_id: TenantId",
                  tenant.status AS "tenant_status: TenantStatus", acting.actor_id, acting.session_id,
                  acting.actor_display, acting.role AS "role: Role", acting.reason, acting.expires_at,
                  key.scopes AS "scopes?"
           FROM act_as_grants AS acting
           JOIN tenants AS tenant ON tenant.id = acting.tenant_id
           LEFT JOIN api_keys AS key ON key.id = acting.actor_id AND acting.actor_kind = 'api_key'
           LEFT JOIN sessions AS session
                  ON session.id = acting.session_id AND session.user_id = acting.actor_id AND session.tenant IS NULL
           LEFT JOIN users AS person ON person.id = coalesce(session.user_id, key.created_by)
           WHERE acting.token_hash = $1 AND acting.ended_at IS NULL AND acting.expires_at > $2
             AND (person.id IS NULL OR (person.platform_role = 'system-admin' AND person.disabled_at IS NULL))
             AND CASE WHEN acting.actor_kind = 'user'
                      THEN session.ended_at IS NULL AND session.expires_at > $2
                           AND session.epoch = person.token_epoch
                      ELSE key.role = 'system-admin' AND key.revoked_at IS NULL
                           AND (key.expires_at IS NULL OR key.expires_at > $2) END"#,
        &token.hash()[..],
        now,
    )
    .fetch_optional(tx.connection())
    .await?;
    Ok(row.map(|row| Acting {
        id: row.id,
        tenant_id: row.tenant_id,
        tenant_status: row.tenant_status,
        actor: match row.session_id {
            Some(session) => ActAsActor::User(UserId::from(row.actor_id), SessionId::from(session)),
            None => ActAsActor::ApiKey(ApiKeyId::from(row.actor_id)),
        },
        actor_display: row.actor_display,
        role: row.role,
        scopes: Scopes::read(row.scopes.as_deref()),
        reason: row.reason,
        expires_at: row.expires_at,
    }))
}

/// Grants in the transaction's tenant before the given one, the last first.
pub async fn list_act_as(
    tx: &mut TenantTx,
    before: Option<ActAsId>,
    limit: i64,
) -> Result<Vec<ActAsGrant>, DbError> {
    let tenant = tx.tenant().clone();
    let grants = sqlx::query_as!(
        ActAsGrant,
        r#"SELECT id AS "id: ActAsId", tenant_id AS "tenant_id: TenantId", actor_kind, actor_id, actor_display,
                  role AS "role: Role", reason, created_at, expires_at, ended_at
           FROM act_as_grants
           WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id < $2)
           ORDER BY id DESC LIMIT $3"#,
        tenant.as_str(),
        before.map(|id| id.as_uuid()),
        limit,
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(grants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_back_and_a_changed_one_is_not() {
        let token = ActAsToken::generate(&TenantId::parse("acme-corp").unwrap());
        assert!(token.reveal().starts_with("ua_acme_corp_"));
        assert_eq!(ActAsToken::parse(token.reveal()), Ok(token.clone()));
        let key = token.reveal().replacen("ua_", "uk_", 1);
        let short = &token.reveal()[..token.reveal().len() - 1];
        for bad in [
            "",
            "ua_",
            "ua_é",
            &key,
            short,
            &format!("{}x", token.reveal()),
        ] {
            assert_eq!(ActAsToken::parse(bad), Err(InvalidApiKey), "{bad}");
        }
        assert!(!format!("{token:?}").contains("acme"));
    }
}
