//! Access tokens: JSON Web Tokens after RFC 9068.

use chrono::TimeDelta;
use jsonwebtoken::{Algorithm, Header};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    ids::{SessionId, TenantId, UserId},
    tenancy::Role,
};

/// How long an access token lives.
pub const TOKEN_LIFE: TimeDelta = TimeDelta::minutes(15);
/// Who makes tokens.
pub const ISSUER: &str = "unity";
/// Whom tokens are for.
pub const AUDIENCE: &str = "unity-api";
/// How far the clocks of two processes may differ. They are set by the database's.
pub(super) const CLOCKS_DIFFER: TimeDelta = TimeDelta::seconds(5);
/// No token of ours is longer; what is longer is not looked at.
pub(super) const LONGEST: usize = 4096;
/// The type of an access token, which nothing else of ours has.
const TYPE: &str = "at+jwt";

/// What an access token says. None of it is believed beyond naming the session: what the session's
/// owner may do is in the rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claims {
    /// [`ISSUER`].
    pub iss: String,
    /// [`AUDIENCE`].
    pub aud: String,
    /// The person.
    pub sub: UserId,
    /// Their address when the token was made.
    pub email: String,
    /// When it was made, in seconds since the Unix epoch.
    pub iat: i64,
    /// When it ends, in seconds since the Unix epoch.
    pub exp: i64,
    /// This token's own name.
    pub jti: Uuid,
    /// The tenant that was logged in to; absent for a system administrator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<TenantId>,
    /// Their role when the token was made.
    pub role: Role,
    /// The session.
    pub sid: SessionId,
    /// The person's epoch when the token was made: a later one ends it.
    pub epoch: i64,
}

/// The one header that our tokens have: a token with any other member, or another value, is not ours.
pub(super) fn header(key_id: &str) -> Header {
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some(TYPE.to_owned());
    header.kid = Some(key_id.to_owned());
    header
}
