//! What the API tells the audit log: who asks, and what was refused.
//!
//! A handler that changes something takes [`By`], and its transaction ends with one entry. What is
//! refused is told by `auth::routes`, which every request with a caller passes.

mod acting;
mod by;
mod crossing;
mod denials;
mod witness;

pub use acting::ActingRequest;
pub use by::{By, Visitor, author_of};
pub use crossing::{Crossing, find_crossing};
pub use denials::{Denials, Refusal};
pub use witness::Witness;
