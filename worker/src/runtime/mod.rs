//! The way of one job through a worker, in the order of the files:
//!
//! | file | step |
//! |---|---|
//! | `worker` | puts the parts together on apalis' `Worker` and `Monitor` |
//! | `source` | takes entries from the ready queue: one job, or several short ones |
//! | `way` | leads each job of an entry through the steps below, in a place of its own |
//! | `claim` | makes them this worker's, many in one statement |
//! | `execute` | runs the handler on a task of its own, with an end to its time |
//! | `heartbeat` | renews leases while handlers run, and ends those that cannot be renewed |
//! | `finish` | writes verdicts back, many in one statement |
//! | `settle` | frees the slots and lets the gate admit the next |
//! | `drain` | a stop: nothing new, a limit for what runs, the rest handed back |
//!
//! `assignment` says which queue and kinds this process works on, `inflight` is the list of what it
//! has in hand, `capacity` how much that may be, `held` keeps two attempts of one job apart, `cancel`
//! ends what is not wanted any more. Claims, verdicts and settlements collect while one round trip is
//! under way and go together in the next (`unity_shared::batch`).

mod assignment;
mod cancel;
mod capacity;
mod claim;
mod drain;
mod execute;
mod finish;
mod heartbeat;
mod held;
mod inflight;
mod member;
mod progress;
mod register;
mod settle;
mod source;
mod spare;
mod tally;
mod watched;
mod way;
mod worker;

pub use assignment::{Assignment, AssignmentError};
pub use progress::ProgressReporter;
pub use worker::{Worker, WorkerError, WorkerOptions, WorkerServices};
