//! The scheduler: loops that keep jobs moving.
//!
//! Any number of scheduler processes may run; one of them leads and runs the loops. Every loop looks
//! at the rows, does what is due and can be stopped at any point: the next one, here or elsewhere,
//! finds what is left. Two leaders at once would do no harm either, see each loop.

mod agenda;
mod cursors;
mod leader;
mod loops;
mod scheduler;

pub use cursors::Cursors;
pub use loops::{Context, LoopError, run_all_once};
pub use scheduler::{Scheduler, SchedulerError};
