//! `GET /auth/me`.

use axum::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use unity_shared::{
    ids::{ApiKeyId, SessionId, TenantId, UserId},
    tenancy::Role,
};

use crate::auth::{Acting, Actor, Caller};
use crate::extract::NoParameters;

/// Whoever asks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    #[serde(flatten)]
    actor: MyActor,
    /// What they may do now.
    role: Role,
    /// Their tenant; null for a system administrator.
    #[schema(required)]
    tenant_id: Option<TenantId>,
    /// What the key is confined to; null = to nothing.
    #[schema(required)]
    scopes: Option<Vec<String>>,
    /// Whether they can do nothing before they have changed their password.
    must_change_password: bool,
    /// Requests a second that the key may make; null = as many as the plan says.
    #[schema(required)]
    rate_limit_per_second: Option<u32>,
    /// Set while a system administrator acts inside a tenant.
    #[schema(required)]
    acting: Option<MyActing>,
}

/// A program with a key, or a person who has logged in.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(tag = "actor", rename_all = "snake_case")]
enum MyActor {
    /// A program.
    ApiKey {
        /// The key's name.
        key_id: ApiKeyId,
    },
    /// A person.
    User {
        /// The person.
        user_id: UserId,
        /// Their address.
        email: String,
        /// Their login.
        session_id: SessionId,
    },
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MyActing {
    /// Why.
    reason: String,
    /// When it ends.
    until: DateTime<Utc>,
}

/// Shows who calls, and what they may.
#[utoipa::path(
    get,
    path = "/auth/me",
    tag = "auth",
    responses((status = 200, description = "The caller.", body = Me)),
)]
pub async fn get_me(caller: Caller, NoParameters: NoParameters) -> Json<Me> {
    let Caller {
        actor,
        role,
        tenant,
        scopes,
        acting,
        must_change_password,
        rate_limit_per_second,
    } = caller;
    let actor = match actor {
        Actor::ApiKey { id } => MyActor::ApiKey { key_id: id },
        Actor::User { id, session, email } => MyActor::User {
            user_id: id,
            email,
            session_id: session,
        },
    };
    Json(Me {
        actor,
        role,
        tenant_id: tenant,
        scopes: scopes.names(),
        must_change_password,
        rate_limit_per_second,
        acting: acting.map(|Acting { reason, until }| MyActing { reason, until }),
    })
}
