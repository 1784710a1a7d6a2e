//! Who does something, and from where.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::ids::{ActAsId, RequestId};

/// What sort of actor somebody is.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, sqlx::Type, utoipa::ToSchema,
)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum AuditActorKind {
    /// A person who has signed in.
    User,
    /// A program with an API key.
    ApiKey,
    /// Somebody of whom only the source address is known.
    Anonymous,
    /// A process of Unity itself.
    System,
}

impl AuditActorKind {
    /// The kind as the API and the database write it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "api_key",
            Self::Anonymous => "anonymous",
            Self::System => "system",
        }
    }
}

/// Who does something.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AuditActor {
    /// What sort of actor it is.
    pub kind: AuditActorKind,
    /// Its id; of a process of Unity, its name; of somebody unknown, the source address.
    pub id: String,
    /// What people know it by when this happens: an address, or the role of a key.
    pub display: String,
}

/// Who does something, from where, and in which request.
#[derive(Debug, Clone)]
pub struct Author {
    /// Who.
    pub actor: AuditActor,
    /// Whether it acts for the platform: then what it does in a tenant is told to the platform too.
    pub for_platform: bool,
    /// The grant under which an administrator acts in the tenant, and the reason that was given for
    /// it; absent = in its own name.
    pub act_as: Option<(ActAsId, String)>,
    /// Where the request came from; absent for processes of Unity.
    pub source_address: Option<IpAddr>,
    /// What the client calls itself, at most 256 characters; absent if it did not say.
    pub user_agent: Option<String>,
    /// The request; absent for processes of Unity, and where an entry tells of several.
    pub request_id: Option<RequestId>,
}

/// Longest name of a client that is kept, in characters.
const USER_AGENT_LENGTH: usize = 256;

impl Author {
    /// A process of Unity that acts by itself.
    #[must_use]
    pub fn system(process: &str) -> Self {
        Self {
            actor: AuditActor {
                kind: AuditActorKind::System,
                id: process.to_owned(),
                display: format!("unity {process}"),
            },
            for_platform: true,
            act_as: None,
            source_address: None,
            user_agent: None,
            request_id: None,
        }
    }

    /// A client's name as it is kept: shortened, and without what a terminal might obey.
    #[must_use]
    pub fn bounded_user_agent(text: &str) -> String {
        let shown = text.chars().filter(|c| !c.is_control());
        shown.take(USER_AGENT_LENGTH).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_name_is_shortened_and_cannot_steer_a_terminal() {
        let kept = Author::bounded_user_agent(&format!("a\u{1b}[2J{}", "é".repeat(1000)));
        assert_eq!(kept.chars().count(), USER_AGENT_LENGTH);
        assert!(kept.starts_with("a[2Jé"));
    }
}
