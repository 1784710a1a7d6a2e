//! Why a cluster could not be connected to, and why one request to it failed.
//!
//! Two sources are dropped on purpose, against the habit of keeping them: a YAML parser quotes the
//! file it could not read, and a credential plug-in's error holds what the plug-in printed. Both
//! may be a token.

use std::{error::Error as StdError, path::PathBuf, time::Duration};

use http::StatusCode;

type BoxError = Box<dyn StdError + Send + Sync>;

/// Why there is no client for a cluster. Trying again does not help: the configuration must change.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file cannot be read, or the chosen context, its cluster or a file it names is missing.
    #[error("could not use kubeconfig {}", path.display())]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: Box<kube::config::KubeconfigError>,
    },
    /// The file's text is not a kubeconfig.
    #[error("{} is not a kubeconfig", path.display())]
    NotAKubeconfig {
        /// The file.
        path: PathBuf,
    },
    /// This process does not run in a pod with a service account.
    #[error("could not read the pod's service account")]
    InCluster {
        /// What is missing.
        #[source]
        source: kube::config::InClusterError,
    },
    /// The credentials cannot be used: a token file, key or plug-in is missing or broken.
    #[error("could not load the cluster's credentials")]
    Credentials,
    /// The connection's settings contradict each other or name something unsupported.
    #[error("could not set up the connection to the cluster")]
    Client {
        /// What is wrong with them.
        #[source]
        source: Box<kube::Error>,
    },
}

/// Why one request to a cluster failed.
///
/// `message` is what the API server said: one line of at most 300 characters, empty if it said
/// nothing that is a Kubernetes `Status`.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No connection, or it broke before the answer was complete.
    #[error("the cluster cannot be reached")]
    Unreachable {
        /// What the connection reported.
        #[source]
        source: BoxError,
    },
    /// No complete answer in time.
    #[error("the cluster did not answer within {after:?}")]
    TimedOut {
        /// How long the request was given.
        after: Duration,
    },
    /// A fault of the server (5xx), or it is starting, stopping or overloaded.
    #[error("the cluster is unavailable ({status}): {message}")]
    Unavailable {
        /// The answer's status.
        status: StatusCode,
        /// The server's words.
        message: String,
        /// When the server wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// Too many requests (429).
    #[error("the cluster is throttling requests: {message}")]
    Throttled {
        /// The server's words.
        message: String,
        /// When the server wants to be asked again, if it said so.
        retry_after: Option<Duration>,
    },
    /// The client could not produce its credentials.
    #[error("the credentials for the cluster cannot be loaded")]
    Credentials,
    /// The cluster does not accept the credentials (401).
    #[error("the cluster does not accept the credentials: {message}")]
    Unauthorized {
        /// The server's words.
        message: String,
    },
    /// The identity may not do this, or an admission rule or quota forbids it (403).
    #[error("the cluster forbids it: {message}")]
    Forbidden {
        /// The server's words.
        message: String,
    },
    /// The namespace is being deleted and takes no new objects (403 with cause
    /// `NamespaceTerminating`).
    #[error("the namespace is being deleted")]
    NamespaceTerminating,
    /// The namespace does not exist (404 about a namespace).
    #[error("the namespace does not exist")]
    NamespaceMissing,
    /// The server does not know this path or object (404).
    #[error("the cluster does not know it: {message}")]
    NotFound {
        /// The server's words.
        message: String,
    },
    /// Another field manager owns a field that the request sets (409 with cause
    /// `FieldManagerConflict`).
    #[error("another field manager owns a field of it: {message}")]
    FieldOwned {
        /// The server's words; they name the manager and the field.
        message: String,
    },
    /// The object changed, appeared or went away while the request was under way (409).
    #[error("it was changed at the same moment: {message}")]
    Conflict {
        /// The server's words.
        message: String,
    },
    /// The object breaks the schema or a validation rule (422).
    #[error("the cluster finds it invalid: {message}")]
    Invalid {
        /// The server's words.
        message: String,
    },
    /// Any other answer that is not a success.
    #[error("the cluster refused it ({status}): {message}")]
    Refused {
        /// The answer's status.
        status: StatusCode,
        /// The server's words.
        message: String,
    },
    /// A success whose body is not the expected object.
    #[error("the cluster's answer is unreadable")]
    Unreadable {
        /// What is wrong with the body.
        #[source]
        source: BoxError,
    },
    /// The request could not be written.
    #[error("the request could not be built")]
    Unbuildable {
        /// What is wrong with it.
        #[source]
        source: kube::core::request::Error,
    },
}

impl RequestError {
    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Unavailable { .. }
            | Self::Throttled { .. }
            | Self::NamespaceTerminating
            | Self::NamespaceMissing
            | Self::Conflict { .. } => true,
            Self::Credentials
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NotFound { .. }
            | Self::FieldOwned { .. }
            | Self::Invalid { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::Unbuildable { .. } => false,
        }
    }

    /// The stable name of this failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreachable { .. } => "cluster.unreachable",
            Self::TimedOut { .. } => "cluster.timeout",
            Self::Unavailable { .. } => "cluster.unavailable",
            Self::Throttled { .. } => "cluster.throttled",
            Self::Credentials => "cluster.credentials",
            Self::Unauthorized { .. } => "cluster.unauthorized",
            Self::Forbidden { .. } => "cluster.forbidden",
            Self::NamespaceTerminating => "namespace.terminating",
            Self::NamespaceMissing => "namespace.missing",
            Self::NotFound { .. } => "cluster.not_found",
            Self::FieldOwned { .. } => "object.field_owned",
            Self::Conflict { .. } => "object.conflict",
            Self::Invalid { .. } => "object.invalid",
            Self::Refused { .. } => "cluster.refused",
            Self::Unreadable { .. } => "cluster.unreadable",
            Self::Unbuildable { .. } => "cluster.request",
        }
    }

    /// How long the server asked to be left alone, at most ten minutes. Absent if it did not say.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } | Self::Throttled { retry_after, .. } => {
                *retry_after
            }
            Self::Unreachable { .. }
            | Self::TimedOut { .. }
            | Self::Credentials
            | Self::Unauthorized { .. }
            | Self::Forbidden { .. }
            | Self::NamespaceTerminating
            | Self::NamespaceMissing
            | Self::NotFound { .. }
            | Self::FieldOwned { .. }
            | Self::Conflict { .. }
            | Self::Invalid { .. }
            | Self::Refused { .. }
            | Self::Unreadable { .. }
            | Self::Unbuildable { .. } => None,
        }
    }
}
