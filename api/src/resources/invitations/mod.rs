//! Invitations to a tenant, and how one is accepted.

mod accept;
mod get;
mod list;
mod mailing;
mod resend;
mod revoke;

use unity_shared::{
    ids::{InvitationId, TenantId},
    tenancy::Role,
};
use utoipa_axum::routes;

use crate::auth::{Access, Routes};

pub use mailing::{InvitationSent, Mailing, leave_alone};

/// The routes of this resource, each with its rule.
pub fn register(routes: Routes) -> Routes {
    let manages = Access::TenantOrSystem(Role::TenantAdmin);
    routes
        .route(manages, routes!(list::list_invitations))
        .route(manages, routes!(get::get_invitation))
        .route_to_grant(manages, routes!(resend::resend_invitation))
        .route(manages, routes!(revoke::revoke_invitation))
        .route(Access::Public, routes!(accept::accept_invitation))
}

/// Where an invitation is found.
pub fn address(tenant: &TenantId, id: InvitationId) -> String {
    format!("/api/v1/tenants/{tenant}/invitations/{id}")
}
