//! What this machine gives by itself: no job queue on it can pass these figures.

/// Single-row commits a second, 32 connections.
pub(super) const COMMITS: &str = "PostgreSQL, single-row commits, 32 connections";
/// Rows a second by multi-row inserts, 8 connections.
pub(super) const INSERTS: &str = "PostgreSQL, rows by inserts of 1000, 8 connections";
/// Scripts a second, unpipelined, 32 connections.
pub(super) const SCRIPTS: &str = "Redis, EVALSHA, 32 connections";
/// A route that answers with a constant, 64 connections.
pub(super) const ROUTE: &str = "HTTP, a constant answer, 64 connections";
/// One durable commit.
pub(super) const COMMIT_TIME: &str = "PostgreSQL, a durable commit, p50";
/// Ten jobs of 5 ms that run at once, with nobody else there.
pub(super) const ALONE: &str = "ten sleeps of 5 ms at once";
