//! What a user does, from the call to its effect.

mod bench;
mod dev_command;
mod drain;
mod events;
pub mod gate;
mod long_poll;
pub(crate) mod processes;
mod provision;
mod ready_queue_contract;
mod retry;
mod schedule;
