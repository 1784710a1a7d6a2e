//! All of Unity that talks to a Kubernetes cluster.
//!
//! The only crate that names the cluster's client libraries: callers say what a tenant should
//! have, and get back what was done about it. Nothing here decides when to try again; every error
//! says whether trying again can help, and the job engine decides.
//!
//! The identity that Unity uses on a cluster must itself hold the permissions of the four
//! `unity:*` cluster roles (or `bind` and `escalate` on them): an API server refuses to let anyone
//! hand out more than they have.

mod client;
mod cluster_options;
mod error;
mod request;
mod tenant_namespace;

pub use client::ClusterClient;
pub use cluster_options::{Cidr, ClusterOptions, InvalidCidr, PodSource};
pub use error::{ConnectError, RequestError};
pub use tenant_namespace::{
    ClusterUse, ObjectName, ObjectReport, Outcome, ProvisionError, ProvisionReport, Removal, Step,
    TenantNamespace, provision, read_use, remove,
};
