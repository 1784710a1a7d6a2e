//! Unity's HTTP API: takes orders, answers questions, runs nothing.
//!
//! A request passes the `middleware` (id, trace, errors, panics, time limit), then the rule of its
//! route (`auth`), then a handler in `resources`: one folder per resource, one file per verb.
//! What a handler returns as an error is one `error::ApiError`, rendered as `problem+json` in one
//! place. The router and the `OpenAPI` document come from the same list of routes.

mod audit;
mod auth;
mod enqueue;
mod error;
mod extract;
mod floor;
mod invitation_page;
mod limits;
mod long_poll;
mod look_up;
mod merge_patch;
mod middleware;
mod news;
mod openapi;
pub mod ops;
mod outbound;
mod page_token;
mod problem;
mod resources;
mod router;
mod serve;
mod stall_limit;
mod state;
mod streams;
mod violations;

pub use floor::{bare_route, unguarded_poll};
pub use limits::AddressLimit;
pub use openapi::openapi;
pub use router::router;
pub use serve::{ServeError, serve};
pub use state::{ApiOptions, ApiState};
