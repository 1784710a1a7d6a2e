//! What a user does, from the call to its effect.

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
mod left_over;
mod limits;
mod long_poll;
mod mending;
mod outcomes;
pub(crate) mod processes;
mod provision;
mod ready_queue_contract;
mod retry;
mod schedule;
mod supersede;
mod switches;
mod turns;
mod waiting_cap;
mod why;
