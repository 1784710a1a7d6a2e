//! Where a shard's keys are.

use std::fmt;

/// One Redis with a gate of its own. A tenant lives on exactly one shard, which its row records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardId(pub i16);

impl ShardId {
    /// The shard that every installation has.
    pub const FIRST: Self = Self(0);
}

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The names that apalis-redis 1.0.0 gives to the keys of one ready queue. The gate writes the
/// first three itself; a test compares all of them with the crate.
#[derive(Debug, Clone)]
pub struct ReadyQueueKeys {
    /// The queue's name as apalis-redis is told it.
    pub name: String,
}

impl ReadyQueueKeys {
    /// LIST of ids that wait for a worker.
    #[must_use]
    pub fn active(&self) -> String {
        format!("{}:active", self.name)
    }

    /// HASH id -> payload.
    #[must_use]
    pub fn data(&self) -> String {
        format!("{}:data", self.name)
    }

    /// HASH of one task's attempts and status.
    #[must_use]
    pub fn meta(&self, id: &str) -> String {
        format!("{}:meta:{id}", self.name)
    }

    /// SET of the ids that a worker has fetched.
    #[must_use]
    pub fn inflight(&self, worker: &str) -> String {
        format!("{}:inflight:{worker}", self.name)
    }

    /// ZSET worker -> last heartbeat, in seconds.
    #[must_use]
    pub fn workers(&self) -> String {
        format!("{}:workers", self.name)
    }
}
