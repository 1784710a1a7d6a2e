//! Who did what: one chain of entries for each tenant, and one for the platform.
//!
//! An entry is written in the transaction of the change that it tells of, as its last statement: the
//! chain is held until that transaction ends. Each entry carries the hash of the one before, so that a
//! changed or missing one is found by whoever walks the chain (`docs/audit.md`).

mod action;
mod author;
mod chain;
mod entry;
mod read;
mod record;

pub use action::Action;
pub use author::{AuditActor, AuditActorKind, Author};
pub use chain::{Break, ChainHead, ChainWalk, GENESIS, Hash, entry_hash};
pub use entry::{AuditResult, AuditedObject, Deed};
pub use read::{
    AuditFilter, AuditRow, find_audit_head, find_platform_audit_head, list_audit_chains,
    list_audit_log, list_platform_audit_log,
};
pub use record::{
    Telling, Tells, record, record_for_platform, record_in, record_in_tenant, tell_all,
};

/// The platform's own chain. The tenant of this slug is the platform itself; nobody can make another.
pub const PLATFORM_CHAIN: &str = "platform";
