//! `GET /tenants`.

use axum::{Json, extract::State};
use serde::Deserialize;
use unity_shared::{
    ids::TenantId,
    tenancy::{self, Plan, Tenant, TenantFilter, TenantStatus},
};

use crate::{
    error::ApiError,
    extract::{QueryParameters, check_text},
    page_token::Scope,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

/// Longest text to look for, in characters.
const LONGEST_TEXT: usize = 100;

/// Which tenants, and which page of them.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct TenantQuery {
    /// Only tenants in this state. Without it purged ones are left out.
    status: Option<TenantStatus>,
    /// Only tenants on this plan.
    plan: Option<Plan>,
    /// Only tenants with this text in their id or name, whatever its case.
    #[param(min_length = 1, max_length = 100, format = "line")]
    q: Option<String>,
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// Lists tenants by their slug.
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
    let filter = query.filter()?;
    let text = canonical(&filter);
    let scope = Scope {
        listing: "tenants",
        owner: "platform",
        filter: &text,
    };
    let token = query.page_token.as_deref();
    let asked = PageRequest::<TenantId>::read(state.page_tokens(), scope, query.limit, token)?;
    let mut tx = state.database().operator().statement().await?;
    let rows = tenancy::list_tenants(&mut tx, &filter, asked.after.as_ref(), asked.rows()).await?;
    Ok(Json(asked.page(rows, |tenant| tenant.id.clone())))
}

impl TenantQuery {
    fn filter(&self) -> Result<TenantFilter, ApiError> {
        let text = self.q.as_deref();
        if text.is_some_and(|text| !(1..=LONGEST_TEXT).contains(&text.chars().count())) {
            return Err(ApiError::Query(format!(
                "q must have 1 to {LONGEST_TEXT} characters"
            )));
        }
        check_text("q", text)?;
        Ok(TenantFilter {
            status: self.status,
            plan: self.plan,
            text: self.q.clone(),
        })
    }
}

/// The filter as page tokens are bound to it. The text comes last, so nothing in it reads as another
/// part.
fn canonical(filter: &TenantFilter) -> String {
    let TenantFilter { status, plan, text } = filter;
    format!(
        "{}\n{}\n{}",
        status.map_or("", TenantStatus::as_str),
        plan.map_or("", Plan::as_str),
        text.as_deref().unwrap_or_default()
    )
}
