//! `GET /tenants/{id}/act-as`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::TenantId,
    tenancy::{self, ActAsGrant, find_tenant},
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

/// Which page of the listing.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ActAsQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists who of the platform acts, or acted, inside a tenant: the last first.
#[utoipa::path(
    get,
    path = "/tenants/{id}/act-as",
    tag = "tenants",
    params(("id" = TenantId, Path, description = "The tenant's slug."), ActAsQuery),
    responses(
        (status = 200, description = "A page of grants.", body = Page<ActAsGrant>),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn list_act_as(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<TenantId>,
    QueryParameters(query): QueryParameters<ActAsQuery>,
) -> Result<Json<Page<ActAsGrant>>, ApiError> {
    // Decided before the database is asked: for another's tenant and for none, nothing differs.
    if caller.tenant.is_some_and(|own| own != id) {
        return Err(ApiError::NotFound);
    }
    let scope = Scope {
        listing: "act-as",
        owner: id.as_str(),
        filter: "",
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::read(state.page_tokens(), scope, query.limit, token)?;
    let mut tx = state.database().tenant(&id).await?;
    find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    let rows = tenancy::list_act_as(&mut tx, asked.after, asked.rows()).await?;
    Ok(Json(asked.page(rows, |grant| grant.id)))
}
