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
