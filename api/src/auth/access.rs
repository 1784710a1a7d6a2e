//! The rules that a route can have.

use std::fmt;

use unity_shared::tenancy::Role;

use super::{Actor, Caller};
use crate::error::ApiError;

/// Who may use a route. What depends on the object (is it the caller's own tenant?) is for the
/// handler, which answers 404 for what the caller may not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everybody, with no credential at all.
    Public,
    /// Whoever is known, whatever their role and scopes, also before they have changed a first password.
    Authenticated,
    /// People who have logged in, also before they have changed a first password, and act for themselves.
    /// Programs have keys.
    Session,
    /// System administrators.
    SystemAdmin,
    /// Callers of a tenant with this role or a higher one. A system administrator has no tenant, so
    /// there is nothing that the route could act on.
    Tenant(Role),
    /// Callers of a tenant with this role or a higher one, and system administrators.
    TenantOrSystem(Role),
    /// Callers of a tenant with this role or a higher one; system administrators for the jobs that the
    /// platform carries out for tenants. Which those are is for the handler, which knows the job.
    TenantOrPlatformsJobs(Role),
}

impl Access {
    /// Lets the caller pass, or says what is missing.
    pub fn admit(self, caller: &Caller) -> Result<(), ApiError> {
        let is_system = caller.role == Role::SystemAdmin;
        match self {
            Self::Public | Self::Authenticated => Ok(()),
            Self::Session => match caller.actor {
                Actor::User { .. } if caller.acting.is_none() => Ok(()),
                Actor::User { .. } | Actor::ApiKey { .. } => Err(ApiError::SessionRequired),
            },
            _ if caller.must_change_password => Err(ApiError::MustChangePassword),
            Self::Tenant(_) if is_system => Err(ApiError::TenantRequired),
            _ if is_system => Ok(()),
            Self::SystemAdmin => Err(ApiError::RoleInsufficient(Role::SystemAdmin)),
            Self::Tenant(role) | Self::TenantOrSystem(role) | Self::TenantOrPlatformsJobs(role) => {
                if caller.role >= role {
                    Ok(())
                } else {
                    Err(ApiError::RoleInsufficient(role))
                }
            }
        }
    }
}

/// The rule as the `OpenAPI` document states it.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Public => f.write_str("public"),
            Self::Authenticated => f.write_str("authenticated"),
            Self::Session => f.write_str("session"),
            Self::SystemAdmin => f.write_str(Role::SystemAdmin.as_str()),
            Self::Tenant(role) => f.write_str(role.as_str()),
            Self::TenantOrSystem(role) => {
                write!(f, "{} or {}", role.as_str(), Role::SystemAdmin.as_str())
            }
            Self::TenantOrPlatformsJobs(role) => {
                let administrator = Role::SystemAdmin.as_str();
                write!(
                    f,
                    "{} or {administrator} for the platform's jobs",
                    role.as_str()
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use unity_shared::{
        ids::{ApiKeyId, SessionId, TenantId, UserId},
        sessions::OpenedWith,
        tenancy::Scopes,
    };

    use super::*;

    fn caller(role: Role) -> Caller {
        let tenant = (role != Role::SystemAdmin).then(|| TenantId::parse("acme").unwrap());
        Caller {
            actor: Actor::ApiKey {
                id: ApiKeyId::new(),
            },
            role,
            tenant,
            scopes: Scopes::ALL,
            acting: None,
            must_change_password: false,
            key_ends_at: None,
            rate_limit_per_second: None,
        }
    }

    const ROLES: [Role; 4] = [
        Role::TenantViewer,
        Role::TenantMember,
        Role::TenantAdmin,
        Role::SystemAdmin,
    ];

    fn admitted(access: Access) -> Vec<Role> {
        ROLES
            .into_iter()
            .filter(|role| access.admit(&caller(*role)).is_ok())
            .collect()
    }

    #[test]
    fn each_rule_admits_exactly_its_roles() {
        assert_eq!(admitted(Access::SystemAdmin), [Role::SystemAdmin]);
        assert_eq!(
            admitted(Access::Tenant(Role::TenantMember)),
            [Role::TenantMember, Role::TenantAdmin]
        );
        assert_eq!(admitted(Access::TenantOrSystem(Role::TenantViewer)), ROLES);
    }

    #[test]
    fn whoever_must_change_their_password_can_do_that_and_see_who_they_are() {
        let mut person = caller(Role::TenantAdmin);
        person.actor = Actor::User {
            id: UserId::new(),
            session: SessionId::new(),
            email: "admin@acme.example".to_owned(),
            opened_with: OpenedWith::Password,
        };
        person.must_change_password = true;
        for access in [Access::Public, Access::Authenticated, Access::Session] {
            assert!(access.admit(&person).is_ok(), "{access}");
        }
        for access in [
            Access::SystemAdmin,
            Access::Tenant(Role::TenantViewer),
            Access::TenantOrSystem(Role::TenantViewer),
        ] {
            let refusal = access.admit(&person);
            assert!(
                matches!(refusal, Err(ApiError::MustChangePassword)),
                "{access}"
            );
        }
    }

    #[test]
    fn a_program_is_no_person_who_has_logged_in() {
        let refusal = Access::Session.admit(&caller(Role::TenantAdmin));
        assert!(matches!(refusal, Err(ApiError::SessionRequired)));
        assert!(
            Access::Authenticated
                .admit(&caller(Role::TenantViewer))
                .is_ok()
        );
    }

    #[test]
    fn a_system_administrator_is_told_that_a_tenant_is_missing() {
        let refusal = Access::Tenant(Role::TenantViewer).admit(&caller(Role::SystemAdmin));
        assert!(matches!(refusal, Err(ApiError::TenantRequired)));
    }
}
