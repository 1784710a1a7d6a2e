//! Processes that are killed, servers that go away.

mod outage;
mod worker_killed;
