//! Why a tenant's namespace could not be provisioned, and whether trying again can help.

use std::{fmt, time::Duration};

use crate::error::RequestError;

/// An object of the cluster in messages: `NetworkPolicy tenant-acme/unity-default-deny`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectName {
    kind: String,
    namespace: Option<String>,
    name: String,
}

impl ObjectName {
    pub(super) fn cluster_scoped(kind: &str, name: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            namespace: None,
            name: name.to_owned(),
        }
    }

    pub(super) fn of<K: kube::Resource<DynamicType = ()>>(object: &K) -> Self {
        let meta = object.meta();
        Self {
            kind: K::kind(&()).into_owned(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone().unwrap_or_default(),
        }
    }

    /// The object's kind, such as `NetworkPolicy`.
    #[must_use]
    pub fn kind(&self) -> &str {
        &self.kind
    }

    /// The object's name inside its namespace.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            kind,
            namespace,
            name,
        } = self;
        match namespace {
            Some(namespace) => write!(f, "{kind} {namespace}/{name}"),
            None => write!(f, "{kind} {name}"),
        }
    }
}

/// Why provisioning stopped. What was applied before stays and is found again by the next run.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The namespace exists and is not this tenant's: not managed by Unity, or of another tenant
    /// that had or has the same name. A person has to decide.
    #[error("namespace {namespace} exists and does not belong to this tenant")]
    NamespaceForeign {
        /// The namespace.
        namespace: String,
    },
    /// The namespace is being deleted. Once it is gone it can be made anew.
    #[error("namespace {namespace} is being deleted")]
    NamespaceTerminating {
        /// The namespace.
        namespace: String,
    },
    /// The namespace was deleted while it was being provisioned.
    #[error("namespace {namespace} vanished while it was being provisioned")]
    NamespaceVanished {
        /// The namespace.
        namespace: String,
    },
    /// An object could not be read.
    #[error("could not read {object}")]
    Read {
        /// The object.
        object: ObjectName,
        /// What the request came to.
        #[source]
        source: RequestError,
    },
    /// An object could not be created or brought to its desired state.
    #[error("could not apply {object}")]
    Apply {
        /// The object.
        object: ObjectName,
        /// What the request came to.
        #[source]
        source: RequestError,
    },
    /// An object that must go could not be deleted.
    #[error("could not delete {object}")]
    Delete {
        /// The object.
        object: ObjectName,
        /// What the request came to.
        #[source]
        source: RequestError,
    },
    /// The hash of the desired state could not be taken.
    #[error("could not hash the desired state")]
    Hash {
        /// Why the objects have no JSON form.
        #[source]
        source: serde_json::Error,
    },
}

impl ProvisionError {
    pub(super) fn reading(object: ObjectName, namespace: &str, source: RequestError) -> Self {
        Self::about_the_namespace(namespace, source)
            .unwrap_or_else(|source| Self::Read { object, source })
    }

    pub(super) fn applying(object: ObjectName, namespace: &str, source: RequestError) -> Self {
        Self::about_the_namespace(namespace, source)
            .unwrap_or_else(|source| Self::Apply { object, source })
    }

    pub(super) fn deleting(object: ObjectName, namespace: &str, source: RequestError) -> Self {
        Self::about_the_namespace(namespace, source)
            .unwrap_or_else(|source| Self::Delete { object, source })
    }

    /// What a failed request says about the namespace, or the failure back if it says nothing.
    fn about_the_namespace(namespace: &str, source: RequestError) -> Result<Self, RequestError> {
        let namespace = namespace.to_owned();
        match source {
            RequestError::NamespaceTerminating => Ok(Self::NamespaceTerminating { namespace }),
            RequestError::NamespaceMissing => Ok(Self::NamespaceVanished { namespace }),
            source => Err(source),
        }
    }

    /// Whether a later run may succeed without anybody changing anything.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::NamespaceTerminating { .. } | Self::NamespaceVanished { .. } => true,
            Self::NamespaceForeign { .. } | Self::Hash { .. } => false,
            Self::Read { source, .. }
            | Self::Apply { source, .. }
            | Self::Delete { source, .. } => source.retryable(),
        }
    }

    /// How long the cluster asked to be left alone, at most ten minutes. Absent if it did not say.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::NamespaceTerminating { .. }
            | Self::NamespaceVanished { .. }
            | Self::NamespaceForeign { .. }
            | Self::Hash { .. } => None,
            Self::Read { source, .. }
            | Self::Apply { source, .. }
            | Self::Delete { source, .. } => source.retry_after(),
        }
    }

    /// The stable name of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NamespaceForeign { .. } => "namespace.foreign",
            Self::NamespaceTerminating { .. } => "namespace.terminating",
            Self::NamespaceVanished { .. } => "namespace.vanished",
            Self::Hash { .. } => "namespace.unhashable",
            Self::Read { source, .. }
            | Self::Apply { source, .. }
            | Self::Delete { source, .. } => source.code(),
        }
    }

    /// The failure in one line, object and cause together, for a job's error. `Display` leaves the
    /// cause to `source()`, where a log finds it; addresses and transport details are only there.
    #[must_use]
    pub fn message(&self) -> String {
        match self {
            Self::NamespaceForeign { .. }
            | Self::NamespaceTerminating { .. }
            | Self::NamespaceVanished { .. }
            | Self::Hash { .. } => self.to_string(),
            Self::Read { source, .. }
            | Self::Apply { source, .. }
            | Self::Delete { source, .. } => format!("{self}: {source}"),
        }
    }
}
