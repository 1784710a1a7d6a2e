//! `GET /queues`.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    str::FromStr,
};

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use unity_shared::{
    ids::TenantId,
    jobs::{kinds::queue_names, tally_running},
    queue::TenantLoad,
    tenancy::{JobLimits, list_job_limits},
};

use crate::{
    error::ApiError,
    extract::QueryParameters,
    page_token::Scope,
    resources::page::{Page, PageRequest},
    state::ApiState,
};

const SCOPE: Scope<'_> = Scope {
    listing: "queues",
    owner: "platform",
    filter: "",
};

/// Which page of the listing.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct QueueQuery {
    /// Items of a page.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<i64>,
    /// `next_page_token` of the page before.
    page_token: Option<String>,
}

/// What a tenant has in a queue.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct QueueLine {
    /// The queue.
    queue: String,
    /// The tenant.
    tenant_id: TenantId,
    /// Jobs that wait in this queue, also those behind a resource key that is taken.
    waiting: u64,
    /// Jobs of this queue that run.
    running: i64,
    /// How long the one that waits longest has been due, whatever its priority; null = nothing waits.
    #[schema(required)]
    oldest_wait_seconds: Option<i64>,
    /// Most jobs that the tenant may run at once, over all queues.
    limit: u32,
}

/// The place of a line in the listing.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Place {
    queue: String,
    tenant: TenantId,
}

impl Place {
    fn new(queue: &str, tenant: TenantId) -> Self {
        Self {
            queue: queue.to_owned(),
            tenant,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}", self.queue, self.tenant)
    }
}

impl FromStr for Place {
    type Err = ApiError;

    fn from_str(text: &str) -> Result<Self, ApiError> {
        let (queue, tenant) = text.split_once('\t').ok_or(ApiError::PageToken)?;
        let tenant = TenantId::recall(tenant).map_err(|_| ApiError::PageToken)?;
        Ok(Self::new(queue, tenant))
    }
}

/// Lists what waits and runs, by queue and tenant. Tenants with neither are left out.
#[utoipa::path(
    get,
    path = "/queues",
    tag = "operations",
    params(QueueQuery),
    responses((status = 200, description = "A page of lines.", body = Page<QueueLine>)),
)]
pub async fn list_queues(
    State(state): State<ApiState>,
    QueryParameters(query): QueryParameters<QueueQuery>,
) -> Result<Json<Page<QueueLine>>, ApiError> {
    let token = query.page_token.as_deref();
    let asked = PageRequest::<Place>::read(state.page_tokens(), SCOPE, query.limit, token)?;
    let running = count_running(&state).await?;
    let mut places: BTreeSet<Place> = running.keys().cloned().collect();
    for queue in queue_names() {
        let tenants = state.gate().waiting_tenants(queue).await?;
        places.extend(tenants.into_iter().map(|tenant| Place::new(queue, tenant)));
    }
    let rows = usize::try_from(asked.rows()).unwrap_or(usize::MAX);
    let page: Vec<Place> = places
        .into_iter()
        .filter(|place| asked.after.as_ref().is_none_or(|after| place > after))
        .take(rows)
        .collect();
    let lines = describe(&state, page, &running).await?;
    Ok(Json(asked.page(lines, |line| {
        Place::new(&line.queue, line.tenant_id.clone())
    })))
}

/// Running jobs by queue and tenant.
async fn count_running(state: &ApiState) -> Result<BTreeMap<Place, i64>, ApiError> {
    let mut tx = state.database().engine().statement().await?;
    let tally = tally_running(&mut tx, state.gate().shard(), state.clock().now()).await?;
    let mut running: BTreeMap<Place, i64> = BTreeMap::new();
    for line in tally {
        *running
            .entry(Place::new(&line.queue, line.tenant))
            .or_default() += line.running;
    }
    Ok(running)
}

async fn describe(
    state: &ApiState,
    page: Vec<Place>,
    running: &BTreeMap<Place, i64>,
) -> Result<Vec<QueueLine>, ApiError> {
    let tenants: Vec<TenantId> = page.iter().map(|place| place.tenant.clone()).collect();
    let mut tx = state.database().operator().statement().await?;
    let limits: HashMap<TenantId, JobLimits> = list_job_limits(&mut tx, &tenants)
        .await?
        .into_iter()
        .collect();
    drop(tx);
    let mut loads: HashMap<Place, TenantLoad> = HashMap::new();
    let queues: BTreeSet<&str> = page.iter().map(|place| place.queue.as_str()).collect();
    for queue in queues {
        let of_queue: Vec<TenantId> = page
            .iter()
            .filter(|place| place.queue == queue)
            .map(|place| place.tenant.clone())
            .collect();
        for load in state.gate().loads(queue, &of_queue).await? {
            loads.insert(Place::new(queue, load.tenant.clone()), load);
        }
    }
    let now = state.clock().now();
    let lines = page.into_iter().map(|place| {
        let load = loads.get(&place);
        QueueLine {
            waiting: load.map_or(0, |load| load.waiting),
            running: running.get(&place).copied().unwrap_or(0),
            oldest_wait_seconds: load
                .and_then(|load| load.oldest_due_at)
                .map(|due| waited(due, now)),
            limit: limits
                .get(&place.tenant)
                .map_or(0, |limits| limits.max_concurrent),
            queue: place.queue,
            tenant_id: place.tenant,
        }
    });
    Ok(lines.collect())
}

/// Whole seconds since the job was due; clocks that differ make none negative.
fn waited(due: DateTime<Utc>, now: DateTime<Utc>) -> i64 {
    (now - due).num_seconds().max(0)
}
