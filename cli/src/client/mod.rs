//! The commands that speak to the API, as any program would: one file for each noun.
//!
//! | file | what |
//! |---|---|
//! | `connection` | where the API is, with which key, and what it answers |
//! | `table` | what a person reads |
//! | the others | one noun each: its flags, its calls, its columns |

mod act_as;
mod audit;
mod connection;
mod identity_provider;
mod invitations;
mod jobs;
mod keys;
mod members;
mod pools;
mod queues;
mod switches;
mod table;
mod tenants;
mod workers;

pub use act_as::ActAsArgs;
pub use audit::{AuditArgs, AuditCommand};
pub use connection::ClientFlags;
pub use identity_provider::IdentityProviderArgs;
pub use invitations::InvitationsArgs;
pub use jobs::JobsArgs;
pub use keys::{CreateFlags, KeysArgs, KeysCommand};
pub use members::MembersArgs;
pub use pools::PoolsArgs;
pub use queues::{QueuesArgs, QueuesCommand};
pub use switches::SwitchesArgs;
pub use tenants::TenantsArgs;
pub use workers::WorkersArgs;

pub(crate) use act_as::run as run_act_as;
pub(crate) use audit::{run as run_audit, verify_in_database as verify_audit_in_database};
pub(crate) use identity_provider::run as run_identity_provider;
pub(crate) use invitations::run as run_invitations;
pub(crate) use jobs::run as run_jobs;
pub(crate) use keys::{
    create as create_key, list as list_keys, revoke as revoke_key, show as show_key,
};
pub(crate) use members::run as run_members;
pub(crate) use pools::run as run_pools;
pub(crate) use queues::run as run_queues;
pub(crate) use switches::run as run_switches;
pub(crate) use table::line;
pub(crate) use tenants::run as run_tenants;
pub(crate) use workers::run as run_workers;
