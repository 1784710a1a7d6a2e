//! The gate: which job runs next, over all tenants, queues and workers of one shard.
//!
//! Redis holds the waiting list of every tenant, the live leases that count as its slots, the ring
//! in which tenants take turns, and the ready list from which workers fetch. All of it can be
//! rebuilt from the rows in PostgreSQL ([`refill`]), so Redis may be emptied at any moment.
//!
//! | file in `lua/` | what |
//! |---|---|
//! | `prelude` | the keys, and what is known of tenants, kinds and the fleet |
//! | `waiting` | what waits, line by line or behind a resource key |
//! | `ready` | the way to the workers, through apalis-redis' ready list |
//! | `admission` | the predicate, the ring, turns |
//! | `release` | the ways out of a slot, and what a tenant is charged for |
//!
//! Each other file is one operation, one script, and a script runs alone, so no interleaving can exceed a
//! limit. What exactly is promised: jobs of a tenant whose lease is live are never more than its limit; a
//! worker that cannot renew stops its jobs before the lease ends.

mod calls;
mod epoch;
mod gate;
mod line;
mod offer;
mod refill;
mod rules;
mod scripts;
mod shard;
mod told;
mod upkeep;
mod verify;
mod view;
mod wake;
mod work;

pub use calls::{CallCounts, CallsGranted, CallsWanted, Credential, into_hour};
pub use epoch::Opening;
pub use gate::{Gate, GateError, GateSettings};
pub use line::Line;
pub use offer::{Offer, Running};
pub use refill::{
    RefillError, RefillReport, announce_changed_limits, announce_limits, announce_switches, refill,
};
pub use shard::{ReadyQueueKeys, ShardId};
pub use told::Told;
pub use verify::{Drift, VerifyError, verify};
pub use view::{Obstacle, Place, Standing, TenantLoad};
pub use wake::{Wake, WakeListener};
pub use work::{Beat, Claims, Member, ReadyJob, Settled, read_entry};
