//! What a user does, from the call to its effect.

mod act_as;
mod audit;
mod batch;
mod bench;
mod cancel;
mod client_commands;
mod dead_letters;
mod dev_command;
mod drain;
mod events;
mod fleet;
pub mod gate;
mod limits;
mod long_poll;
pub(crate) mod processes;
mod provision;
mod ready_queue_contract;
mod retry;
mod schedule;
mod switches;
mod why;
