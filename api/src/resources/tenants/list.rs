//! `GET /tenants`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::TenantId,
    tenancy::{self, Tenant},
};

use crate::{
    error::ApiError,
    extract::QueryParameters,
    page_token::Scope,
    resources::page::{Page, PageLimit},
    state::ApiState,
};

const SCOPE: Scope<'_> = Scope {
    listing: "tenants",
    owner: "platform",
    filter: "",
};

/// Which page of the listing.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists all tenants by their slug.
#[utoipa::path(
    get,
    path = "/tenants",
    tag = "tenants",
    params(TenantQuery),
    responses((status = 200, description = "A page of tenants.", body = Page<Tenant>)),
)]
pub async fn list_tenants(
    State(state): State<ApiState>,
    QueryParameters(query): QueryParameters<TenantQuery>,
) -> Result<Json<Page<Tenant>>, ApiError> {
    let limit = PageLimit::read(query.limit)?;
    let tokens = state.page_tokens();
    let after = match query.page_token {
        Some(token) => {
            let last = tokens.open(&SCOPE, &token)?;
            Some(TenantId::parse(&last).map_err(|_| ApiError::PageToken)?)
        }
        None => None,
    };
    let mut tx = state.database().operator().statement().await?;
    let rows = tenancy::list_tenants(&mut tx, after.as_ref(), limit.rows()).await?;
    Ok(Json(limit.page(rows, tokens, &SCOPE, |tenant| {
        tenant.id.to_string()
    })))
}
