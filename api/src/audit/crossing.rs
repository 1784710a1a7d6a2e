//! Whether a request that was answered with 404 asked for something of another tenant.
//!
//! The answer is the same for what is another's and for what is nobody's, and so is its time: this is
//! found out afterwards, on a task of its own.

use unity_shared::{
    audit::AuditedObject,
    ids::{JobId, TenantId},
    jobs::locate_job,
};

use crate::{error::ApiError, state::ApiState};

/// What a request asked for that may be another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crossing {
    /// A tenant's own address, by whatever name: it is not the caller's.
    Tenant(String),
    /// A job.
    Job(JobId),
}

impl Crossing {
    /// What a path asks for, given its route and whose the caller is; absent = nothing of others.
    pub fn of(route: &str, path: &str, own: &TenantId) -> Option<Self> {
        let (before, _) = route.split_once("/{id}")?;
        let id = path.strip_prefix(before)?.strip_prefix('/')?;
        let id = id.split('/').next()?;
        match before.rsplit('/').next()? {
            "tenants" if id != own.as_str() => Some(Self::Tenant(id.chars().take(64).collect())),
            "jobs" => id.parse().ok().map(Self::Job),
            _ => None,
        }
    }

    /// As the audit log names it.
    pub fn object(&self) -> AuditedObject {
        match self {
            Self::Tenant(id) => AuditedObject::one("tenant", id),
            Self::Job(id) => AuditedObject::one("job", id),
        }
    }
}

/// Whether it is another's. A tenant's address that is not the caller's counts whether the tenant
/// exists or not.
pub async fn find_crossing(
    state: &ApiState,
    asked: &Crossing,
    own: &TenantId,
) -> Result<bool, ApiError> {
    match asked {
        Crossing::Tenant(_) => Ok(true),
        Crossing::Job(id) => {
            let mut tx = state.database().operator().statement().await?;
            let owner = locate_job(&mut tx, *id).await?;
            Ok(owner.is_some_and(|owner| owner != *own))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_anothers_is_read_from_the_route() {
        let own = TenantId::parse("alpha").unwrap();
        let of = |route: &str, path: &str| Crossing::of(route, path, &own);
        let tenants = "/api/v1/tenants/{id}/job-limits";
        assert_eq!(
            of(tenants, "/api/v1/tenants/bravo/job-limits"),
            Some(Crossing::Tenant("bravo".to_owned()))
        );
        assert_eq!(of(tenants, "/api/v1/tenants/alpha/job-limits"), None);
        let id = JobId::new();
        assert_eq!(
            of(
                "/api/v1/jobs/{id}/cancel",
                &format!("/api/v1/jobs/{id}/cancel")
            ),
            Some(Crossing::Job(id))
        );
        assert_eq!(of("/api/v1/jobs/{id}", "/api/v1/jobs/x"), None);
        assert_eq!(of("/api/v1/jobs", "/api/v1/jobs"), None);
    }
}
