//! Who asks, for the audit log.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use unity_shared::{
    audit::{AuditActor, AuditActorKind, Author},
    ids::RequestId,
    tenancy::Role,
};

use crate::{
    auth::{Actor, Caller},
    error::ApiError,
    middleware::{CurrentRequestId, SourceAddress},
};

/// Who asks, from where, in which request. Every handler that changes something takes it.
#[derive(Debug, Clone)]
pub struct By(pub Arc<Author>);

impl<S: Send + Sync> FromRequestParts<S> for By {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let CurrentRequestId(request_id) =
            CurrentRequestId::from_request_parts(parts, state).await?;
        let caller = Caller::from_request_parts(parts, state).await?;
        let address = parts.extensions.get::<SourceAddress>().copied();
        Ok(Self(Arc::new(author_of(
            &caller,
            address,
            &parts.headers,
            Some(request_id),
        ))))
    }
}

/// The author of what a caller does.
pub fn author_of(
    caller: &Caller,
    address: Option<SourceAddress>,
    headers: &HeaderMap,
    request_id: Option<RequestId>,
) -> Author {
    let actor = match &caller.actor {
        Actor::ApiKey { id } => AuditActor {
            kind: AuditActorKind::ApiKey,
            id: id.to_string(),
            display: format!("{} key", caller.role.as_str()),
        },
        Actor::User {
            id,
            session: _,
            email,
        } => AuditActor {
            kind: AuditActorKind::User,
            id: id.to_string(),
            display: email.clone(),
        },
    };
    let acting = caller.acting.as_ref();
    Author {
        actor,
        for_platform: caller.role == Role::SystemAdmin || acting.is_some(),
        act_as: acting.map(|acting| (acting.grant, acting.reason.clone())),
        source_address: address.map(|SourceAddress(address)| address),
        user_agent: headers
            .get(header::USER_AGENT)
            .map(|value| Author::bounded_user_agent(&String::from_utf8_lossy(value.as_bytes()))),
        request_id,
    }
}
