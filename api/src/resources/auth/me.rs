//! `GET /auth/me`.

use axum::Json;
use chrono::{DateTime, Utc};
use serde::Serialize;
use unity_shared::{
    ids::{ActAsId, ApiKeyId, SessionId, TenantId, UserId},
    tenancy::Role,
};

use crate::{
    auth::{Acting, Actor, Caller},
    extract::NoParameters,
};

/// Whoever asks.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct Me {
    /// What sort of caller it is.
    actor: ActorKind,
    /// The key's name; null for a person.
    #[schema(required)]
    key_id: Option<ApiKeyId>,
    /// The person; null for a program.
    #[schema(required)]
    user_id: Option<UserId>,
    /// The person's address; null for a program.
    #[schema(required)]
    email: Option<String>,
    /// The person's login; null for a program.
    #[schema(required)]
    session_id: Option<SessionId>,
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

/// What sort of caller it is.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
enum ActorKind {
    /// A program with a key.
    ApiKey,
    /// A person who has logged in.
    User,
}

#[derive(Debug, Serialize, utoipa::ToSchema)]
struct MyActing {
    /// The grant, as the audit log names it.
    grant: ActAsId,
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
        key_ends_at: _,
        rate_limit_per_second,
    } = caller;
    let (kind, key, person) = match actor {
        Actor::ApiKey { id } => (ActorKind::ApiKey, Some(id), None),
        Actor::User {
            id,
            session,
            email,
            opened_with: _,
        } => (ActorKind::User, None, Some((id, session, email))),
    };
    let (user_id, session_id, email) = match person {
        Some((id, session, email)) => (Some(id), Some(session), Some(email)),
        None => (None, None, None),
    };
    Json(Me {
        actor: kind,
        key_id: key,
        user_id,
        email,
        session_id,
        role,
        tenant_id: tenant,
        scopes: scopes.names(),
        must_change_password,
        rate_limit_per_second,
        acting: acting.map(
            |Acting {
                 grant,
                 reason,
                 until,
             }| MyActing {
                grant,
                reason,
                until,
            },
        ),
    })
}
