//! Who asks, for the audit log.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, header, request::Parts},
};
use unity_shared::{
    audit::{AuditActor, AuditActorKind, Author},
    ids::{RequestId, UserId},
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

/// Somebody who comes without a credential, or with one that is not a caller's.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Where the request comes from.
    pub address: IpAddr,
    user_agent: Option<String>,
    request_id: RequestId,
}

impl Visitor {
    /// The author while nobody knows who it is.
    pub fn anonymous(&self) -> Author {
        let address = self.address.to_string();
        self.author(AuditActor {
            kind: AuditActorKind::Anonymous,
            id: address.clone(),
            display: address,
        })
    }

    /// The author when they have shown to be this person.
    pub fn person(&self, id: UserId, email: &str) -> Author {
        self.author(AuditActor {
            kind: AuditActorKind::User,
            id: id.to_string(),
            display: email.to_owned(),
        })
    }

    fn author(&self, actor: AuditActor) -> Author {
        Author {
            actor,
            for_platform: false,
            act_as: None,
            source_address: Some(self.address),
            user_agent: self.user_agent.clone(),
            request_id: Some(self.request_id),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let SourceAddress(address) = SourceAddress::from_request_parts(parts, state).await?;
        let CurrentRequestId(request_id) =
            CurrentRequestId::from_request_parts(parts, state).await?;
        Ok(Self {
            address,
            user_agent: agent_of(&parts.headers),
            request_id,
        })
    }
}

fn agent_of(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(header::USER_AGENT)?;
    let text = String::from_utf8_lossy(value.as_bytes());
    Some(Author::bounded_user_agent(&text))
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
            opened_with: _,
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
        user_agent: agent_of(headers),
        request_id,
    }
}
