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
mod routes;

pub use access::Access;
pub use act_as::ActAsTokens;
pub use authenticate::why_refused;
pub use caller::{Acting, Actor, Caller, TenantCaller};
pub use credentials::Credentials;
pub use key_owners::KeyOwners;
#[cfg(test)]
pub use routes::ACCESS_EXTENSION;
pub use routes::{Routes, SECURITY_SCHEME};
