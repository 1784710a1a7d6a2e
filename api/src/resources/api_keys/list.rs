//! `GET /api-keys`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::TenantId,
    tenancy::{StoredKey, list_platform_keys, list_tenant_keys},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::QueryParameters,
    page_token::Scope,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

/// Which page of the listing.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct KeyQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists the keys of the caller's tenant, or of the platform, newest first, with those that were revoked.
#[utoipa::path(
    get,
    path = "/api-keys",
    tag = "api-keys",
    params(KeyQuery),
    responses((status = 200, description = "A page of keys, without their secrets.", body = Page<StoredKey>)),
)]
pub async fn list_api_keys(
    State(state): State<ApiState>,
    caller: Caller,
    QueryParameters(query): QueryParameters<KeyQuery>,
) -> Result<Json<Page<StoredKey>>, ApiError> {
    let scope = Scope {
        listing: "api-keys",
        owner: caller.tenant.as_ref().map_or("platform", TenantId::as_str),
        filter: "",
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::read(state.page_tokens(), scope, query.limit, token)?;
    let rows = if let Some(tenant) = &caller.tenant {
        let mut tx = state.database().tenant(tenant).await?;
        list_tenant_keys(&mut tx, asked.after, asked.rows()).await?
    } else {
        let mut tx = state.database().operator().statement().await?;
        list_platform_keys(&mut tx, asked.after, asked.rows()).await?
    };
    Ok(Json(asked.page(rows, |key| key.id)))
}
