//! Signing in by a tenant's own identity provider (`OpenID` Connect, code flow with PKCE).
//!
//! | file | what |
//! |---|---|
//! | `start` | the browser is sent to the provider |
//! | `callback` | the browser is back: is the answer the one to our question, and who is it? |
//! | `begun` | what binds the two: a state that only this browser has, good once |
//! | `provider` | what is asked of the provider, and what its tokens must say |
//! | `known` | what providers said about themselves, asked once in some minutes |
//! | `calls` | how many providers are called at once |

mod begun;
mod callback;
mod calls;
mod known;
mod provider;
mod start;

use utoipa_axum::routes;

use crate::auth::{Access, Routes};

pub use begun::SignIns;
pub use known::KnownProviders;

/// Where the provider sends the browser back to, below the API's address.
pub const CALLBACK: &str = "/api/v1/auth/oidc/callback";

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    routes
        .route(Access::Public, routes!(start::start_sign_in))
        .route(Access::Public, routes!(callback::finish_sign_in))
}
