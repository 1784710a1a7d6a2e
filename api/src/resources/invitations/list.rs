//! `GET /tenants/{id}/invitations`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::TenantId,
    people::{self, Invitation, InvitationState},
    tenancy::find_tenant,
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::{PathId, QueryParameters},
    page_token::Scope,
    problem::ProblemBody,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

/// Which invitations, and which page of them.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct InvitationQuery {
    /// Those in this state; absent = all.
    status: Option<InvitationState>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists a tenant's invitations, the newest first.
#[utoipa::path(
    get,
    path = "/tenants/{id}/invitations",
    tag = "members",
    params(("id" = TenantId, Path, description = "The tenant's slug."), InvitationQuery),
    responses(
        (status = 200, description = "A page of invitations.", body = Page<Invitation>),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn list_invitations(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(tenant): PathId<TenantId>,
    QueryParameters(query): QueryParameters<InvitationQuery>,
) -> Result<Json<Page<Invitation>>, ApiError> {
    caller.must_be_of(&tenant)?;
    let scope = Scope {
        listing: "invitations",
        owner: tenant.as_str(),
        filter: query.status.map_or("", InvitationState::as_str),
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::read(state.page_tokens(), scope, query.limit, token)?;
    let now = state.clock().now();
    let mut tx = state.database().tenant(&tenant).await?;
    find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    let rows =
        people::list_invitations(&mut tx, query.status, asked.after, asked.rows(), now).await?;
    Ok(Json(asked.page(rows, |invitation| invitation.id)))
}
