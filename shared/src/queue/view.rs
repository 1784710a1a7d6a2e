//! What the gate can tell: why a job waits, and what waits and runs for whom.

use chrono::{DateTime, Utc};
use serde::Deserialize;

use super::{Gate, GateError, calls::hour_name};
use crate::ids::{JobId, TenantId};

/// Where the gate has a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// It does not: the job is not queued, or is about to be offered.
    Unknown,
    /// In its tenant's waiting list.
    Waiting,
    /// Behind the job that holds its resource key.
    Parked,
    /// It has its slot and is on its way to a worker.
    Admitted,
    /// A worker has it.
    Claimed,
}

/// What stands in the way of a waiting job. These are the answers of the functions that admission
/// itself obeys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Obstacle {
    /// A switch pauses the tenant, the kind, or the kind of this tenant.
    Paused,
    /// The tenant runs as many jobs as it may.
    TenantLimit,
    /// The tenant runs as many jobs of this kind as it may.
    KindLimit,
    /// Another job holds the resource key.
    ResourceKey,
    /// No live worker can run this kind.
    NoWorker,
    /// Every worker that can run it is busy.
    FleetBusy,
}

/// Why a job is where it is.
#[derive(Debug, Clone, Deserialize)]
pub struct Standing {
    /// Where the gate has it.
    pub place: Place,
    /// Whether admission is open at all: it is closed while the gate is filled from the rows.
    pub open: bool,
    /// What stands in its way; empty = its turn has not come.
    #[serde(default)]
    pub obstacles: Vec<Obstacle>,
    /// Jobs of its tenant that run now, over all kinds and queues.
    #[serde(default)]
    pub running: u32,
    /// Which ones, at most 100.
    #[serde(default)]
    pub holders: Vec<JobId>,
    /// The tenant's limit.
    #[serde(default)]
    pub max_concurrent: u32,
    /// Jobs of its kind that run now; absent where the kind has no limit of its own.
    #[serde(default)]
    pub kind_running: Option<u32>,
    /// Which ones, at most 100.
    #[serde(default)]
    pub kind_holders: Vec<JobId>,
    /// The kind's own limit for this tenant; absent = it has none.
    #[serde(default)]
    pub kind_max_concurrent: Option<u32>,
    /// The job that holds its resource key; absent = nobody does.
    #[serde(default)]
    pub key_holder: Option<JobId>,
    /// Jobs of its tenant that come before it; absent where it does not wait.
    #[serde(default)]
    pub jobs_ahead: Option<u64>,
    /// Tenants whose turn comes before its own; absent where its tenant may not run now.
    #[serde(default)]
    pub tenants_ahead: Option<u64>,
}

/// What a tenant has in a queue.
#[derive(Debug, Clone)]
pub struct TenantLoad {
    /// The tenant.
    pub tenant: TenantId,
    /// Its jobs that wait in this queue, also those behind a resource key that is taken.
    pub waiting: u64,
    /// Its jobs that run, over all queues.
    pub running: u64,
    /// When the one of them that has been due longest was; absent = nothing waits.
    pub oldest_due_at: Option<DateTime<Utc>>,
}

impl Gate {
    /// Why a job is where it is.
    pub async fn why(&self, id: JobId) -> Result<Standing, GateError> {
        const OPERATION: &str = "say why a job waits";
        let mut call = self.begin(&self.scripts.why);
        call.arg(id.to_string());
        let text: String = self.invoke(OPERATION, &call).await?;
        serde_json::from_str(&text).map_err(|error| GateError::Answer {
            operation: OPERATION,
            detail: error.to_string(),
        })
    }

    /// The tenants with waiting jobs in a queue, sorted.
    pub async fn waiting_tenants(&self, queue: &str) -> Result<Vec<TenantId>, GateError> {
        let names: Vec<String> = redis::cmd("HKEYS")
            .arg(self.key(&format!("waits:{queue}")))
            .query_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("list waiting tenants"))?;
        let mut tenants: Vec<TenantId> = names
            .iter()
            .filter_map(|name| TenantId::recall(name).ok())
            .collect();
        tenants.sort();
        Ok(tenants)
    }

    /// What these tenants have in a queue.
    pub async fn loads(
        &self,
        queue: &str,
        tenants: &[TenantId],
    ) -> Result<Vec<TenantLoad>, GateError> {
        if tenants.is_empty() {
            return Ok(Vec::new());
        }
        let mut call = self.begin(&self.scripts.queues);
        call.arg(queue);
        for tenant in tenants {
            call.arg(tenant.as_str());
        }
        let answer: Vec<(String, u64, u64, String)> =
            self.invoke("count what waits and runs", &call).await?;
        let loads = answer
            .into_iter()
            .filter_map(|(tenant, waiting, running, oldest)| {
                Some(TenantLoad {
                    tenant: TenantId::recall(&tenant).ok()?,
                    waiting,
                    running,
                    oldest_due_at: oldest
                        .parse()
                        .ok()
                        .and_then(DateTime::from_timestamp_millis),
                })
            });
        Ok(loads.collect())
    }

    /// How often a tenant has called in the clock hour of `at`, with what API processes took and have not
    /// given out or back yet; 0 where nobody has counted any.
    pub async fn api_calls(&self, tenant: &TenantId, at: DateTime<Utc>) -> Result<u32, GateError> {
        let name = hour_name(tenant.as_str(), at);
        let key = format!("{}:{name}", self.settings.prefix);
        let calls: Option<u32> = redis::cmd("GET")
            .arg(key)
            .query_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("read a tenant's calls"))?;
        Ok(calls.unwrap_or(0))
    }
}
