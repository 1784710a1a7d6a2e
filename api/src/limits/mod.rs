//! How often one may call: per source address while nobody is known, per key and second, and per
//! tenant and hour. `docs/rate-limits.md` says what is promised.
//!
//! | file | what |
//! |---|---|
//! | `bucket` | the generic cell rate algorithm, without time or IO |
//! | `addresses` | a bucket for each source address |
//! | `rules` | what a tenant's plan and quota allow |
//! | `meter` | what this process was given for a key and its tenant, and how much of it is left |
//! | `limiter` | asks Redis when a meter is empty, and does without where Redis does not answer |
//! | `headers` | `RateLimit`, `RateLimit-Policy`, `Retry-After` |

mod addresses;
mod bucket;
mod headers;
mod limiter;
mod meter;
mod rules;

pub use addresses::{AddressLimit, Addresses, limit_address, subscriber};
pub use headers::{Standing, whole_seconds, write_standing};
pub use limiter::{CallLimiter, Verdict};
