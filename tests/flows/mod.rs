//! What a user does, from the call to its effect.

mod auth;
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
pub mod people;
pub(crate) mod processes;
mod provision;
mod quotas;
mod ready_queue_contract;
mod retry;
mod schedule;
mod switches;
mod tenant_changes;
mod tenant_hold;
mod tenant_life;
mod tenant_purge;
mod why;
