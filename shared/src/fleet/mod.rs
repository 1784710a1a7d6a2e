//! The fleet as its operators see it: pools, and the worker processes in them.

mod pools;
mod workers;

pub use pools::{Pool, PoolChange, find_pool, is_pool_name, list_pools, update_pool};
pub use workers::{LiveWorker, list_live_workers};
