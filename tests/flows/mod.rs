//! What a user does, from the call to its effect.

mod batch;
mod bench;
mod cancel;
mod client_commands;
mod dead_letters;
mod dev_command;
mod drain;
mod events;
<<<<<<< HEAD
mod fleet;
mod gate;
mod limits;
=======
pub mod gate;
>>>>>>> proof
mod long_poll;
pub(crate) mod processes;
mod provision;
mod ready_queue_contract;
mod retry;
mod schedule;
mod switches;
mod why;
