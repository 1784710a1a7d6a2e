//! The gate: which job runs next, over all tenants, queues and workers of one shard.
//!
//! Redis holds the waiting list of every tenant, the live leases that count as its slots, the ring
//! in which tenants take turns, and the ready list from which workers fetch. All of it can be
//! rebuilt from the rows in PostgreSQL ([`refill`]), so Redis may be emptied at any moment.
//!
//! The rules are in `lua/admission.lua` and `lua/release.lua`, the keys in `lua/prelude.lua`; each
//! operation is one script, and a script runs alone, so no interleaving can exceed a limit. What exactly is promised: jobs of a tenant whose lease is live
//! are never more than its limit; a worker that cannot renew stops its jobs before the lease ends.

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
