//! `GET /api-keys`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::{ApiKeyId, TenantId},
    tenancy::{StoredKey, list_platform_keys, list_tenant_keys},
};

use crate::{
    auth::Caller,
    error::ApiError,
    extract::QueryParameters,
    page_token::Scope,
    resources::page::{Page, PageLimit},
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
    let limit = PageLimit::read(query.limit)?;
    let tokens = state.page_tokens();
    let scope = Scope {
        listing: "api-keys",
        owner: caller.tenant.as_ref().map_or("platform", TenantId::as_str),
        filter: "",
    };
    let before = match query.page_token {
        Some(token) => {
            let last = tokens.open(&scope, &token)?;
            Some(last.parse::<ApiKeyId>().map_err(|_| ApiError::PageToken)?)
        }
        None => None,
    };
    let rows = if let Some(tenant) = &caller.tenant {
        let mut tx = state.database().tenant(tenant).await?;
        list_tenant_keys(&mut tx, before, limit.rows()).await?
    } else {
        let mut tx = state.database().operator().statement().await?;
        list_platform_keys(&mut tx, before, limit.rows()).await?
    };
    Ok(Json(
        limit.page(rows, tokens, &scope, |key| key.id.to_string()),
    ))
}
