//! An in-process API server that speaks enough of the Kubernetes HTTP API for `kube` and
//! `kubectl`, without controllers that run pods.
//!
//! It answers as Kubernetes 1.33 does for what it serves (the table in `resources.rs`):
//! discovery, `OpenAPI`, CRUD, all four patch formats with server-side apply and field ownership,
//! watch, selectors, paging, dry run, `Status` errors, tables, RBAC with impersonation, service
//! account tokens, namespace termination, finalizers, owner references, quotas and limit ranges.
//!
//! Clients authenticate with the bearer token, or with the token as password of the address (see
//! [`Simulator::kubeconfig`]). Bodies come as JSON, YAML or the API's protobuf; answers are JSON.
//!
//! What it is not:
//! - Nothing runs: a pod stays `Pending`, a Deployment makes no pods, a node is always ready.
//! - Admission is that of namespaces, quotas (without scopes), limit range defaults and RBAC
//!   escalation. Pod security levels, the bounds of limit ranges and the expressions of admission
//!   policies are not evaluated.
//! - Fields that a kind does not have are refused, warned about or dropped as `fieldValidation`
//!   says; duplicate keys in a JSON body are not noticed. Of the rules of each kind those are
//!   checked that clients meet (`rules.rs`, `immutable.rs`), not all.
//! - Each group is served in one version (`autoscaling/v2`, not `v1`), without custom resources.
//! - Plain HTTP only, no answers in protobuf or CBOR. One process, one lock, everything in memory;
//!   [`SimulatorConfig::state_file`] lets objects survive a restart, written within about 200 ms
//!   of a change. Watches and paged lists reach back 20,000 changes, and not beyond a restart.
//! - What controllers do (emptying namespaces, collecting dependents, counting quotas, aggregating
//!   roles) happens within the request that causes it, so it is over when the answer arrives.
//!   Foreground propagation therefore deletes as background propagation does.
//!
//! ```no_run
//! use unity_simulator::{Simulator, SimulatorConfig};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::start(SimulatorConfig::default()).await?;
//! std::fs::write("kubeconfig", simulator.kubeconfig())?;
//! simulator.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod aggregate;
mod answer;
mod authenticate;
mod authorize;
mod birth;
mod cluster;
mod decode;
mod defaults;
mod delete;
mod discovery;
mod escalation;
mod garbage;
mod handle;
mod http;
mod identity;
mod immutable;
mod limit_range;
mod managed_fields;
mod merge;
mod metadata;
mod namespace;
mod openapi;
mod options;
mod persist;
mod present;
mod protobuf;
mod quantity;
mod quota;
mod request;
mod request_log;
mod resources;
mod route;
mod rules;
mod schema;
mod seed;
mod selector;
mod server;
mod status;
mod store;
mod table;
mod termination;
mod tree;
mod validate;
mod watch;
mod write;

pub use request_log::RequestLog;
pub use server::{Simulator, SimulatorConfig, SimulatorError};
