//! The caller of a request, as the rows of its key or session say.

use std::fmt;

use axum::{extract::FromRequestParts, http::request::Parts};
use chrono::{DateTime, Utc};
use unity_shared::{
    ids::{ActAsId, ApiKeyId, SessionId, TenantId, UserId},
    sessions::OpenedWith,
    tenancy::{Role, Scopes},
};

use crate::error::ApiError;

/// Who calls, and what they may. The tenant comes from the credential alone; nothing else in a request
/// can name it. What a role may do is in the rules of the routes ([`super::Access`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Who it is.
    pub actor: Actor,
    /// What they may do now: the role in force, whatever their token said when it was made.
    pub role: Role,
    /// Their tenant; absent for a system administrator who does not act in one.
    pub tenant: Option<TenantId>,
    /// What the credential is confined to.
    pub scopes: Scopes,
    /// Set while a system administrator acts inside a tenant.
    pub acting: Option<Acting>,
    /// Whether they can do nothing before they have changed their password.
    pub must_change_password: bool,
    /// When the key ends by itself; absent = never, or it is no key.
    pub key_ends_at: Option<DateTime<Utc>>,
    /// Requests a second that the key may make; absent = as many as the plan says.
    pub rate_limit_per_second: Option<u32>,
}

/// Who holds the credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A program with a key.
    ApiKey {
        /// The key's name in logs.
        id: ApiKeyId,
    },
    /// A person who has logged in.
    User {
        /// The person.
        id: UserId,
        /// Their login.
        session: SessionId,
        /// Their address.
        email: String,
        /// What the login rests on.
        opened_with: OpenedWith,
    },
}

/// Leave for a system administrator to act inside a tenant for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acting {
    /// The grant.
    pub grant: ActAsId,
    /// Why, in their own words.
    pub reason: String,
    /// When it ends.
    pub until: DateTime<Utc>,
}

/// A caller who belongs to a tenant. A handler takes it where its route's rule lets nobody else in.
#[derive(Debug, Clone)]
pub struct TenantCaller {
    /// What they may do.
    pub role: Role,
    /// Their tenant.
    pub tenant: TenantId,
}

impl Caller {
    /// Answers a tenant that is not the caller's as one that does not exist. It is decided before the
    /// database is asked: for another's tenant and for none, nothing differs. A system administrator
    /// may ask for each.
    pub fn must_be_of(&self, tenant: &TenantId) -> Result<(), ApiError> {
        match &self.tenant {
            Some(own) if own != tenant => Err(ApiError::NotFound),
            Some(_) | None => Ok(()),
        }
    }
}

/// A person who has logged in. A handler takes it where its route's rule lets no program in.
#[derive(Debug, Clone)]
pub struct PersonCaller {
    /// The person.
    pub id: UserId,
    /// Their login.
    pub session: SessionId,
    /// Their address.
    pub email: String,
}

/// `api_key:{id}` or `user:{id}`: stable, and no secret.
impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey { id } => write!(f, "api_key:{id}"),
            Self::User { id, .. } => write!(f, "user:{id}"),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::Defect("a route without a rule asks who calls".to_owned()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for TenantCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Caller {
            actor: _,
            role,
            tenant,
            scopes: _,
            acting: _,
            must_change_password: _,
            key_ends_at: _,
            rate_limit_per_second: _,
        } = Caller::from_request_parts(parts, state).await?;
        let tenant = tenant.ok_or(ApiError::TenantRequired)?;
        Ok(Self { role, tenant })
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PersonCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Caller::from_request_parts(parts, state).await?.actor {
            Actor::User {
                id,
                session,
                email,
                opened_with: _,
            } => Ok(Self { id, session, email }),
            Actor::ApiKey { .. } => Err(ApiError::SessionRequired),
        }
    }
}
