//! What every test stands on.

mod client;
mod cluster;
mod identity_provider;
mod mailbox;
mod options;
mod people;
mod proxy;
mod servers;
mod stack;
mod stream;

pub use client::{Answer, Caller};
pub use cluster::Cluster;
pub use identity_provider::{CLIENT_ID, CLIENT_SECRET, IdentityProvider, Lies};
pub use mailbox::{Mail, Mailbox};
pub use options::{POOL, PREFIX, SECRET_KEY, StackOptions};
pub use people::{LoggedIn, claims_of, decode, encode};
pub use proxy::Proxy;
pub use servers::servers;
pub use stack::{Stack, eventually, tenant_body};
pub use stream::{EventStream, Message};
