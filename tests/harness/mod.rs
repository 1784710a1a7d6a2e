//! What every test stands on.

mod client;
mod cluster;
mod proxy;
mod servers;
mod stack;
mod stream;

pub use client::{Answer, Caller};
pub use cluster::Cluster;
pub use proxy::Proxy;
pub use servers::servers;
pub use stack::{PREFIX, Stack, StackOptions, eventually, tenant_body};
pub use stream::{EventStream, Message};
