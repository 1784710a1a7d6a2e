//! Scopes: how an API key is made to do less than its role may.
//!
//! A scope names a resource and whether it is read or written: `jobs:read`. It never adds anything: a
//! key with scopes may do what its role may, on these resources, and nothing else. Writing does not
//! include reading: what only starts jobs need not see what they answered.

use std::{collections::BTreeSet, fmt, str::FromStr};

/// What a route is about: the tag under which the API's description lists it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resource {
    /// API keys.
    ApiKeys,
    /// The audit log.
    Audit,
    /// Events and their streams.
    Events,
    /// Jobs, their kinds and attempts.
    Jobs,
    /// Members and invitations.
    Members,
    /// Pools, workers, queues and switches.
    Operations,
    /// Tenants and their limits.
    Tenants,
}

impl Resource {
    /// Every resource.
    pub const ALL: [Self; 7] = [
        Self::ApiKeys,
        Self::Audit,
        Self::Events,
        Self::Jobs,
        Self::Members,
        Self::Operations,
        Self::Tenants,
    ];

    /// The name in a scope, which is the routes' tag.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiKeys => "api-keys",
            Self::Audit => "audit",
            Self::Events => "events",
            Self::Jobs => "jobs",
            Self::Members => "members",
            Self::Operations => "operations",
            Self::Tenants => "tenants",
        }
    }

    /// The resource of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|resource| resource.as_str() == name)
    }
}

/// Reading or writing of one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    /// On what.
    pub resource: Resource,
    /// Whether it changes something.
    pub writes: bool,
}

/// The text is no scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a scope")]
pub struct InvalidScope;

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verb = if self.writes { "write" } else { "read" };
        write!(f, "{}:{verb}", self.resource.as_str())
    }
}

impl FromStr for Scope {
    type Err = InvalidScope;

    fn from_str(text: &str) -> Result<Self, InvalidScope> {
        let (name, verb) = text.split_once(':').ok_or(InvalidScope)?;
        let resource = Resource::of(name).ok_or(InvalidScope)?;
        match verb {
            "read" => Ok(Self {
                resource,
                writes: false,
            }),
            "write" => Ok(Self {
                resource,
                writes: true,
            }),
            _ => Err(InvalidScope),
        }
    }
}

/// What a credential is confined to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scopes(Option<BTreeSet<Scope>>);

impl Scopes {
    /// Confined to nothing: all that the role may.
    pub const ALL: Self = Self(None);

    /// Confined to these.
    #[must_use]
    pub const fn only(scopes: BTreeSet<Scope>) -> Self {
        Self(Some(scopes))
    }

    /// As the database has them: absent = all. A name that this version does not know permits nothing.
    #[must_use]
    pub fn read(names: Option<&[String]>) -> Self {
        Self(names.map(|names| names.iter().filter_map(|name| name.parse().ok()).collect()))
    }

    /// As the database has them, in their order; absent = all.
    #[must_use]
    pub fn names(&self) -> Option<Vec<String>> {
        let scopes = self.0.as_ref()?;
        Some(scopes.iter().map(Scope::to_string).collect())
    }

    /// Whether this may be done.
    #[must_use]
    pub fn permit(&self, scope: Scope) -> bool {
        self.0.as_ref().is_none_or(|scopes| scopes.contains(&scope))
    }

    /// Whether they are confined to anything.
    #[must_use]
    pub const fn are_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether they permit nothing that `others` do not.
    #[must_use]
    pub fn are_within(&self, others: &Self) -> bool {
        match (&self.0, &others.0) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(own), Some(others)) => own.is_subset(others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(names: &[&str]) -> Scopes {
        Scopes::only(names.iter().map(|name| name.parse().unwrap()).collect())
    }

    #[test]
    fn a_scope_is_a_resource_and_a_verb_and_nothing_else() {
        for resource in Resource::ALL {
            for verb in ["read", "write"] {
                let text = format!("{}:{verb}", resource.as_str());
                assert_eq!(text.parse::<Scope>().unwrap().to_string(), text);
            }
        }
        for bad in [
            "",
            "jobs",
            "jobs:",
            ":read",
            "jobs:READ",
            "Jobs:read",
            "jobs:*",
            "*",
            "jobs:read ",
        ] {
            assert_eq!(bad.parse::<Scope>(), Err(InvalidScope), "{bad}");
        }
    }

    #[test]
    fn writing_does_not_include_reading() {
        let writes = scopes(&["jobs:write"]);
        assert!(writes.permit("jobs:write".parse().unwrap()));
        assert!(!writes.permit("jobs:read".parse().unwrap()));
        assert!(!writes.permit("tenants:write".parse().unwrap()));
        assert!(Scopes::ALL.permit("tenants:write".parse().unwrap()));
    }

    #[test]
    fn fewer_scopes_are_within_more_and_all_are_within_none_but_all() {
        let (few, more) = (scopes(&["jobs:read"]), scopes(&["jobs:read", "jobs:write"]));
        assert!(few.are_within(&more) && few.are_within(&Scopes::ALL));
        assert!(!more.are_within(&few) && !Scopes::ALL.are_within(&more));
    }

    #[test]
    fn a_name_of_a_later_version_permits_nothing() {
        let names = ["rockets:write".to_owned()];
        let read = Scopes::read(Some(&names));
        assert!(!read.are_all());
        assert_eq!(read.names(), Some(Vec::new()));
    }
}
