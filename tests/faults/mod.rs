//! Processes that are killed, servers that go away.

mod drills;
mod outage;
mod worker_killed;
