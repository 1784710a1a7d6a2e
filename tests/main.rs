//! One test binary over the whole of Unity, so that it links once.
//!
//! | folder | what is shown there |
//! |---|---|
//! | `harness` | servers, one database and Redis prefix for each test, the stack in this process |
//! | `flows` | what a user does, from the call to its effect |
//! | `isolation` | what one tenant can see of another: nothing |
//! | `surface` | every route, every refusal, the published contract |
//! | `faults` | processes that are killed, servers that go away |
//! | `model` | random interleavings of everything, against a small model |
//! | `tidy` | the rules of the source tree |

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "in tests a panic is the way to say no, and their names say what they show"
)]

mod faults;
mod flows;
mod harness;
mod isolation;
mod model;
mod surface;
mod tidy;
