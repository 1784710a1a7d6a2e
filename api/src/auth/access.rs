//! The rules that a route can have.

use std::fmt;

use unity_shared::tenancy::Role;

use super::Caller;
use crate::error::ApiError;

/// Who may use a route. What depends on the object (is it the caller's own tenant?) is for the
/// handler, which answers 404 for what the caller may not see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// System administrators.
    SystemAdmin,
    /// Callers of a tenant with this role or a higher one. A system administrator has no tenant, so
    /// there is nothing that the route could act on.
    Tenant(Role),
    /// Callers of a tenant with this role or a higher one, and system administrators.
    TenantOrSystem(Role),
}

impl Access {
    /// Lets the caller pass, or says what is missing.
    pub fn admit(self, caller: &Caller) -> Result<(), ApiError> {
        let is_system = caller.role == Role::SystemAdmin;
        match self {
            Self::SystemAdmin | Self::TenantOrSystem(_) if is_system => Ok(()),
            Self::SystemAdmin => Err(ApiError::RoleInsufficient(Role::SystemAdmin)),
            Self::Tenant(_) if is_system => Err(ApiError::TenantRequired),
            Self::Tenant(role) | Self::TenantOrSystem(role) if caller.role >= role => Ok(()),
            Self::Tenant(role) | Self::TenantOrSystem(role) => {
                Err(ApiError::RoleInsufficient(role))
            }
        }
    }
}

/// The rule as the `OpenAPI` document states it.
impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SystemAdmin => f.write_str(Role::SystemAdmin.as_str()),
            Self::Tenant(role) => f.write_str(role.as_str()),
            Self::TenantOrSystem(role) => {
                write!(f, "{} or {}", role.as_str(), Role::SystemAdmin.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use unity_shared::{
        ids::{ApiKeyId, TenantId},
        tenancy::Scopes,
    };

    use super::*;
    use crate::auth::Actor;

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
    fn a_system_administrator_is_told_that_a_tenant_is_missing() {
        let refusal = Access::Tenant(Role::TenantViewer).admit(&caller(Role::SystemAdmin));
        assert!(matches!(refusal, Err(ApiError::TenantRequired)));
    }
}
