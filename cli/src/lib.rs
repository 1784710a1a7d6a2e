//! The `unity` command: every process of Unity, and `unity dev`, which runs all of them.

pub mod args;
pub mod bench;
pub mod client;
pub mod commands;
pub mod dev;
pub mod process;
pub mod servers;
