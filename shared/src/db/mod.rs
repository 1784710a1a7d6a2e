//! The database, and the only ways to speak to it.
//!
//! A statement runs in a [`TenantTx`], where row-level security shows one tenant's rows (or, for many
//! small reads at once, in an [`EachTenantTx`]), or in a [`PlatformTx`] of a named duty, whose role has
//! exactly the grants that this duty needs. Nothing
//! else can reach a connection: the pools are private to this module.

mod database;
mod each_tenant_tx;
mod error;
mod kept_sessions;
mod migrate;
mod platform_tx;
mod pool;
mod roles;
mod tenant_tx;

pub use database::{Database, DatabaseUrls};
pub use each_tenant_tx::EachTenantTx;
pub use error::DbError;
pub use kept_sessions::{KeptSession, KeptSessions};
pub use migrate::{MigrateError, migrate};
pub use platform_tx::{
    Authenticator, Duty, Engine, Issuer, Operator, PlatformTx, Purger, Registrar,
};
pub use pool::PoolSettings;
pub use roles::{LoginPasswords, LoginUrls, RolesError, connection_url, create_logins};
pub use tenant_tx::TenantTx;
