//! `GET /worker-pools`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::fleet::{Pool, list_pools};

use crate::{
    error::ApiError,
    extract::QueryParameters,
    page_token::Scope,
    resources::{
        page::{Page, PageRequest},
        workers::alive_since,
    },
    state::ApiState,
};

const SCOPE: Scope<'_> = Scope {
    listing: "worker-pools",
    owner: "platform",
    filter: "",
};

/// Which page of the listing.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct PoolQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists the pools that were set, or that a worker was ever seen of, by name.
#[utoipa::path(
    get,
    path = "/worker-pools",
    tag = "operations",
    params(PoolQuery),
    responses((status = 200, description = "A page of pools.", body = Page<Pool>)),
)]
pub async fn list_worker_pools(
    State(state): State<ApiState>,
    QueryParameters(query): QueryParameters<PoolQuery>,
) -> Result<Json<Page<Pool>>, ApiError> {
    let token = query.page_token.as_deref();
    let asked = PageRequest::<String>::read(state.page_tokens(), SCOPE, query.limit, token)?;
    let mut tx = state.database().operator().statement().await?;
    let after = asked.after.as_deref();
    let rows = list_pools(&mut tx, alive_since(&state), after, asked.rows()).await?;
    Ok(Json(asked.page(rows, |pool| pool.pool.clone())))
}
