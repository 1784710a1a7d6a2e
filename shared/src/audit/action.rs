//! What can be done, by name.

/// The name of something that somebody does: `object.verb`. Stable, and declared here once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Action(&'static str);

/// Declares the actions and the list of them.
macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        impl Action {
            $($(#[$doc])* pub const $name: Self = Self($text);)*

            /// Every action that there is.
            pub const ALL: &[Self] = &[$(Self::$name,)*];
        }
    };
}

actions! {
    /// One job or several were enqueued.
    JOB_CREATE = "job.create",
    /// One job was asked to end.
    JOB_CANCEL = "job.cancel",
    /// One job is tried again.
    JOB_RETRY = "job.retry",
    /// All jobs that match a filter were asked to end.
    JOBS_CANCEL = "job.cancel_many",
    /// All jobs that match a filter are tried again.
    JOBS_RETRY = "job.retry_many",
    /// A switch was put on.
    SWITCH_CREATE = "switch.create",
    /// A switch was taken off.
    SWITCH_END = "switch.end",
    /// A worker pool was set.
    WORKER_POOL_UPDATE = "worker_pool.update",
    /// A tenant was made, with its first administrator and key.
    TENANT_CREATE = "tenant.create",
    /// A tenant's name, plan or quotas were changed.
    TENANT_UPDATE = "tenant.update",
    /// A tenant was taken out of use.
    TENANT_SUSPEND = "tenant.suspend",
    /// A tenant was taken back into use.
    TENANT_RESUME = "tenant.resume",
    /// A tenant was deleted: it can be restored until its grace period ends.
    TENANT_DELETE = "tenant.delete",
    /// A deletion was taken back.
    TENANT_RESTORE = "tenant.restore",
    /// The purge of a deleted tenant was ordered.
    TENANT_ORDER_PURGE = "tenant.order_purge",
    /// A tenant's rows and namespace are gone.
    TENANT_PURGE = "tenant.purge",
    /// Somebody was invited.
    INVITATION_CREATE = "invitation.create",
    /// An invitation was sent again.
    INVITATION_RESEND = "invitation.resend",
    /// An invitation was taken back.
    INVITATION_REVOKE = "invitation.revoke",
    /// An invitation was accepted: somebody is a member.
    INVITATION_ACCEPT = "invitation.accept",
    /// Somebody has become a member by the word of the tenant's identity provider.
    MEMBER_ADD = "member.add",
    /// A member was given another role.
    MEMBER_UPDATE = "member.update",
    /// A membership was ended.
    MEMBER_REMOVE = "member.remove",
    /// A tenant's identity provider was set.
    IDENTITY_PROVIDER_SET = "identity_provider.set",
    /// A tenant's identity provider was taken away.
    IDENTITY_PROVIDER_DELETE = "identity_provider.delete",
    /// An API key was made.
    API_KEY_CREATE = "api_key.create",
    /// An API key was revoked.
    API_KEY_REVOKE = "api_key.revoke",
    /// Somebody has logged in.
    SESSION_BEGIN = "session.begin",
    /// A session goes on with new tokens.
    SESSION_REFRESH = "session.refresh",
    /// A session has ended: somebody has logged out, or one of its tokens came twice.
    SESSION_END = "session.end",
    /// Somebody has changed their password.
    PASSWORD_CHANGE = "password.change",
    /// Somebody was made a system administrator.
    USER_CREATE_ADMIN = "user.create_admin",
    /// A person was kept out.
    USER_DISABLE = "user.disable",
    /// A person was let in again.
    USER_ENABLE = "user.enable",
    /// The next key that signs access tokens was made.
    SIGNING_KEY_ROTATE = "signing_key.rotate",
    /// A tenant's job limits were set.
    JOB_LIMITS_UPDATE = "tenant.update_job_limits",
    /// An administrator was let into a tenant for some minutes.
    ACT_AS_BEGIN = "act_as.begin",
    /// An administrator's time in a tenant was ended before its end.
    ACT_AS_END = "act_as.end",
    /// A request of an administrator who acts in a tenant.
    ACT_AS_REQUEST = "act_as.request",
    /// A request was refused that the caller may not make.
    ACCESS_DENIED = "access.denied",
    /// Requests that were refused and not told one by one: `detail.count` of them.
    ACCESS_DENIED_MORE = "access.denied_more",
}

impl Action {
    /// The name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_action_has_a_name_of_its_own_in_dot_case() {
        let names: BTreeSet<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        assert_eq!(names.len(), Action::ALL.len());
        for name in names {
            let part = |part: &str| {
                !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            };
            assert!(name.contains('.') && name.split('.').all(part), "{name}");
        }
    }
}
