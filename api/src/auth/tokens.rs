//! The pair of tokens that a session goes on with.

use serde::Serialize;
use unity_shared::{
    clock::Clock,
    ids::{SessionId, TenantId, UserId},
    sessions::{AUDIENCE, Claims, ISSUER, Keyring, RefreshToken, TOKEN_LIFE},
    tenancy::Role,
};
use uuid::Uuid;

use crate::error::ApiError;

/// Tokens of a session.
#[derive(Serialize, utoipa::ToSchema)]
pub struct TokenPair {
    /// A JSON Web Token for the `Authorization` header.
    access_token: String,
    /// Good for one use at `POST /auth/refresh`.
    refresh_token: String,
    /// `Bearer`.
    token_type: &'static str,
    /// Seconds until the access token ends.
    expires_in: i64,
}

/// Whose tokens they are.
#[derive(Debug, Clone)]
pub struct Subject {
    /// The session.
    pub session: SessionId,
    /// The person.
    pub user: UserId,
    /// Their address.
    pub email: String,
    /// Their epoch.
    pub epoch: i64,
    /// Where they are logged in; absent = the platform.
    pub tenant: Option<TenantId>,
    /// Their role there.
    pub role: Role,
}

/// Signs an access token beside a refresh token whose hash is stored.
pub fn issue(
    keyring: &Keyring,
    clock: &Clock,
    subject: Subject,
    refresh: &RefreshToken,
) -> Result<TokenPair, ApiError> {
    let iat = clock.now().timestamp();
    let Subject {
        session,
        user,
        email,
        epoch,
        tenant,
        role,
    } = subject;
    let claims = Claims {
        iss: ISSUER.to_owned(),
        aud: AUDIENCE.to_owned(),
        sub: user,
        email,
        iat,
        exp: iat + TOKEN_LIFE.num_seconds(),
        jti: Uuid::now_v7(),
        tenant_id: tenant,
        role,
        sid: session,
        epoch,
    };
    let access_token = keyring
        .sign(&claims)
        .ok_or_else(|| ApiError::Defect("no key signs".to_owned()))?;
    Ok(TokenPair {
        access_token,
        refresh_token: refresh.reveal().to_owned(),
        token_type: "Bearer",
        expires_in: TOKEN_LIFE.num_seconds(),
    })
}
