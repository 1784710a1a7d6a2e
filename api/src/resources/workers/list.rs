//! `GET /workers`.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::Deserialize;
use unity_shared::fleet::{LiveWorker, list_live_workers};

use crate::{
    error::ApiError,
    extract::{QueryParameters, check_text},
    page_token::Scope,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

/// Which workers, and which page of them.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct WorkerQuery {
    /// Only this pool.
    #[param(format = "line")]
    pool: Option<String>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// A worker beats three times in a lease; one that was silent for so many leases is not listed.
const SILENT_LEASES: u32 = 3;

/// Since when a worker must have given a sign of life to be taken for alive.
pub fn alive_since(state: &ApiState) -> DateTime<Utc> {
    state.clock().now() - state.gate().lease() * SILENT_LEASES
}

/// Lists the workers that live, by their start.
#[utoipa::path(
    get,
    path = "/workers",
    tag = "operations",
    params(WorkerQuery),
    responses((status = 200, description = "A page of workers.", body = Page<LiveWorker>)),
)]
pub async fn list_workers(
    State(state): State<ApiState>,
    QueryParameters(query): QueryParameters<WorkerQuery>,
) -> Result<Json<Page<LiveWorker>>, ApiError> {
    let WorkerQuery {
        pool,
        limit,
        page_token,
    } = query;
    let pool = pool.as_deref();
    check_text("pool", pool)?;
    let scope = Scope {
        listing: "workers",
        owner: "platform",
        filter: pool.unwrap_or_default(),
    };
    let asked = PageRequest::read(state.page_tokens(), scope, limit, page_token.as_deref())?;
    let mut tx = state.database().operator().statement().await?;
    let rows = list_live_workers(
        &mut tx,
        alive_since(&state),
        pool,
        asked.after,
        asked.rows(),
    )
    .await?;
    Ok(Json(asked.page(rows, |worker| worker.id)))
}
