//! Whether a request that was answered with 404 asked for something of another tenant.
//!
//! The answer is the same for what is another's and for what is nobody's, and so is its time: this is
//! found out afterwards, on a task of its own.

use axum::http::Uri;
use unity_shared::{
    audit::AuditedObject,
    ids::{ApiKeyId, InvitationId, JobId, TenantId, UserId},
    jobs::locate_job,
    people::{is_invitation_elsewhere, is_member_elsewhere},
    tenancy::is_key_elsewhere,
};

use crate::{error::ApiError, state::ApiState};

/// What a request asked for that may be another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Crossing {
    /// A tenant, by whatever name: it is not the caller's.
    Tenant(String),
    /// A job.
    Job(JobId),
    /// An API key.
    Key(ApiKeyId),
    /// An invitation, as if it were the caller's tenant's.
    Invitation(InvitationId),
    /// A person, as if they were a member of the caller's tenant.
    Member(UserId),
}

impl Crossing {
    /// What a request asks for, given its route and whose the caller is; absent = nothing of others.
    pub fn of(route: &str, uri: &Uri, own: &TenantId) -> Option<Self> {
        if route.contains("/audit-log") {
            let named = named_tenant(uri.query()?)?;
            return (named != own.as_str()).then(|| Self::tenant(named));
        }
        let (before, after) = route.split_once("/{id}")?;
        let mut rest = uri
            .path()
            .strip_prefix(before)?
            .strip_prefix('/')?
            .split('/');
        let id = rest.next()?;
        match before.rsplit('/').next()? {
            "tenants" if id != own.as_str() => Some(Self::tenant(id)),
            "tenants" => Self::within(after, rest.nth(1)?),
            "jobs" => id.parse().ok().map(Self::Job),
            "api-keys" => id.parse().ok().map(Self::Key),
            _ => None,
        }
    }

    fn tenant(name: &str) -> Self {
        Self::Tenant(name.chars().take(64).collect())
    }

    /// What is asked for behind the address of the caller's own tenant.
    fn within(route: &str, id: &str) -> Option<Self> {
        if route.starts_with("/members/") {
            id.parse().ok().map(Self::Member)
        } else if route.starts_with("/invitations/") {
            id.parse().ok().map(Self::Invitation)
        } else {
            None
        }
    }

    /// As the audit log names it.
    pub fn object(&self) -> AuditedObject {
        match self {
            Self::Tenant(id) => AuditedObject::one("tenant", id),
            Self::Job(id) => AuditedObject::one("job", id),
            Self::Key(id) => AuditedObject::one("api_key", id),
            Self::Invitation(id) => AuditedObject::one("invitation", id),
            Self::Member(id) => AuditedObject::one("user", id),
        }
    }
}

fn named_tenant(query: &str) -> Option<&str> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.find_map(|(name, value)| (name == "tenant").then_some(value))
}

/// Whether it is another's. A tenant that is not the caller's counts whether it exists or not.
pub async fn find_crossing(
    state: &ApiState,
    asked: &Crossing,
    own: &TenantId,
) -> Result<bool, ApiError> {
    let database = state.database();
    Ok(match asked {
        Crossing::Tenant(_) => true,
        Crossing::Job(id) => {
            let mut tx = database.operator().statement().await?;
            let owner = locate_job(&mut tx, *id).await?;
            owner.is_some_and(|job| job.tenant_id != *own)
        }
        Crossing::Key(id) => {
            let mut tx = database.operator().statement().await?;
            is_key_elsewhere(&mut tx, *id, own).await?
        }
        Crossing::Invitation(id) => {
            let mut tx = database.registrar().statement().await?;
            is_invitation_elsewhere(&mut tx, *id, own).await?
        }
        Crossing::Member(id) => {
            let mut tx = database.registrar().statement().await?;
            is_member_elsewhere(&mut tx, *id, own).await?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_anothers_is_read_from_the_route() {
        let own = TenantId::parse("alpha").unwrap();
        let of = |route: &str, uri: &str| Crossing::of(route, &uri.parse().unwrap(), &own);
        let tenants = "/api/v1/tenants/{id}/job-limits";
        let bravo = Some(Crossing::Tenant("bravo".to_owned()));
        assert_eq!(of(tenants, "/api/v1/tenants/bravo/job-limits"), bravo);
        assert_eq!(of(tenants, "/api/v1/tenants/alpha/job-limits"), None);
        assert_eq!(of("/api/v1/tenants/{id}", "/api/v1/tenants/alpha"), None);
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
        let key = ApiKeyId::new();
        assert_eq!(
            of("/api/v1/api-keys/{id}", &format!("/api/v1/api-keys/{key}")),
            Some(Crossing::Key(key))
        );
    }

    #[test]
    fn behind_the_own_tenant_people_and_invitations_may_be_anothers() {
        let own = TenantId::parse("alpha").unwrap();
        let (user, invitation) = (UserId::new(), InvitationId::new());
        for (route, path, asked) in [
            (
                "/members/{user}",
                format!("/members/{user}"),
                Some(Crossing::Member(user)),
            ),
            (
                "/invitations/{invitation}/resend",
                format!("/invitations/{invitation}/resend"),
                Some(Crossing::Invitation(invitation)),
            ),
            ("/members/{user}", "/members/somebody".to_owned(), None),
            ("/usage", "/usage".to_owned(), None),
        ] {
            let uri = format!("/api/v1/tenants/alpha{path}").parse().unwrap();
            let route = format!("/api/v1/tenants/{{id}}{route}");
            assert_eq!(Crossing::of(&route, &uri, &own), asked, "{uri}");
        }
    }

    #[test]
    fn a_log_is_asked_for_by_a_parameter() {
        let own = TenantId::parse("alpha").unwrap();
        let of = |uri: &str| Crossing::of("/api/v1/audit-log", &uri.parse().unwrap(), &own);
        let bravo = Some(Crossing::Tenant("bravo".to_owned()));
        assert_eq!(of("/api/v1/audit-log?limit=1&tenant=bravo"), bravo);
        assert_eq!(of("/api/v1/audit-log?tenant=alpha"), None);
        assert_eq!(of("/api/v1/audit-log"), None);
    }
}
