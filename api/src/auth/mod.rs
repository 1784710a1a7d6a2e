//! Who calls, and whether they may.
//!
//! A route is registered with its rule ([`Access`]) and in no other way; the rule is checked before
//! the handler runs and is written into the `OpenAPI` document from the same value.

mod access;
mod act_as;
mod authenticate;
mod caller;
mod credentials;
mod key_owners;
mod key_uses;
mod passwords;
mod remembered;
mod routes;
mod session_owners;
mod signing_keys;
mod tokens;

pub use access::Access;
pub use act_as::ActAsTokens;
pub use authenticate::{authenticate, why_refused};
pub use caller::{Acting, Actor, Caller, PersonCaller, TenantCaller};
pub use credentials::Credentials;
pub use key_owners::KeyOwners;
pub use key_uses::KeyUses;
pub use passwords::Passwords;
#[cfg(test)]
pub use routes::{ACCESS_EXTENSION, SCOPE_EXTENSION};
pub use routes::{Routes, SECURITY_SCHEME, operations};
pub use session_owners::SessionOwners;
pub use signing_keys::SigningKeys;
pub use tokens::{Subject, TokenPair, issue};
