//! Private PostgreSQL and Redis servers, for `unity dev` and for the tests: found on the machine or
//! installed, reachable from this machine only with a random password, and never alive longer than
//! the process that started them.
//!
//! What holds, and where it is arranged:
//! - No server outlives its parent, not even after `kill -9` (`child`; `watchdog` off Linux).
//! - As root the servers run as an unprivileged user, in folders that this user could not reach by
//!   name, such as one below `/root` (`folder`, `child`).
//! - One process per data directory (`lock`); what an earlier one left running is stopped before
//!   the next start (`orphans`).
//! - No password is ever on a command line.
//!
//! Everything here blocks: asynchronous callers go through `tokio::task::spawn_blocking`, for the
//! drop of a server too, which waits until it has stopped.

mod account;
mod child;
mod cluster;
mod error;
mod folder;
mod install;
mod lock;
mod log;
mod orphans;
mod port;
mod postgres;
mod programs;
mod redis;
mod temporary;
mod tied;
#[cfg(any(test, not(target_os = "linux")))]
mod watchdog;

pub use self::child::Server;
pub use self::error::ServersError;
pub use self::lock::DataDirLock;
pub(crate) use self::port::free_port;
pub use self::postgres::{PostgresOptions, PrivatePostgres};
pub use self::programs::{Programs, find_or_install};
pub use self::redis::{PrivateRedis, RedisOptions};
pub use self::temporary::{TemporaryOptions, TemporaryServers};
pub use self::tied::TiedChild;
