//! `GET /tenants/{id}/members`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::TenantId,
    people::{self, Member},
    tenancy::find_tenant,
};

use super::view::with_people;
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
pub struct MemberQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists a tenant's members by their ids.
#[utoipa::path(
    get,
    path = "/tenants/{id}/members",
    tag = "members",
    params(("id" = TenantId, Path, description = "The tenant's slug."), MemberQuery),
    responses(
        (status = 200, description = "A page of members.", body = Page<Member>),
        (status = 404, description = "No such tenant, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
    ),
)]
pub async fn list_members(
    State(state): State<ApiState>,
    caller: Caller,
    PathId(tenant): PathId<TenantId>,
    QueryParameters(query): QueryParameters<MemberQuery>,
) -> Result<Json<Page<Member>>, ApiError> {
    caller.must_be_of(&tenant)?;
    let scope = Scope {
        listing: "members",
        owner: tenant.as_str(),
        filter: "",
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::read(state.page_tokens(), scope, query.limit, token)?;
    let mut tx = state.database().tenant(&tenant).await?;
    find_tenant(&mut tx).await?.ok_or(ApiError::NotFound)?;
    let rows = people::list_members(&mut tx, asked.after, asked.rows()).await?;
    drop(tx);
    let page = asked.page(rows, |row| row.user_id);
    Ok(Json(Page {
        items: with_people(&state, page.items).await?,
        next_page_token: page.next_page_token,
    }))
}
