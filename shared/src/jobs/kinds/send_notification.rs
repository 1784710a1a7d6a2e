//! `send_notification`: sends a mail of the tenant.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    ids::InvitationId,
    jobs::{JobKind, RetryPolicy},
    tenancy::Role,
};

/// Which mail. The payload holds ids and no text, no address and no secret: the handler reads from
/// the tenant's rows whom it is for and what is in it, so a mail can go to nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "template", rename_all = "snake_case", deny_unknown_fields)]
pub enum SendNotification {
    /// The mail of an invitation, to the address that it is for. It goes out once for each issue of
    /// the invitation.
    Invitation {
        /// The invitation.
        invitation_id: InvitationId,
    },
}

impl JobKind for SendNotification {
    const NAME: &'static str = "send_notification";
    const TIMEOUT: Duration = Duration::from_mins(2);
    const START_ROLE: Role = Role::TenantAdmin;
    /// A mail server that knows nobody yet often wants a quarter of an hour.
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 20,
        base: Duration::from_secs(2),
        cap: Duration::from_mins(10),
        jitter: 0.25,
    };
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::jobs::kinds::find_kind;

    #[test]
    fn a_payload_names_a_template_and_an_id_and_nothing_else() {
        let kind = find_kind("send_notification").unwrap();
        let id = "0198c0de-0000-7000-8000-000000000001";
        let good = json!({ "template": "invitation", "invitation_id": id });
        assert_eq!(kind.check_payload(&good).unwrap(), good);
        for bad in [
            json!({}),
            json!({ "template": "invitation" }),
            json!({ "template": "advertisement", "invitation_id": id }),
            json!({ "template": "invitation", "invitation_id": "x" }),
            json!({ "template": "invitation", "invitation_id": id, "to": "a@b" }),
            json!({ "template": "invitation", "invitation_id": id, "token": "x" }),
        ] {
            assert!(kind.check_payload(&bad).is_err(), "{bad}");
        }
    }
}
