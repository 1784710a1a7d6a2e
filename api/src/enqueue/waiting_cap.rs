//! The cap on a tenant's waiting jobs.
//!
//! What waits is counted at most once a second for each tenant that enqueues, and what this process
//! takes in since is added. So the cap may be passed by what other API processes take in within that
//! second, and by nothing else.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use unity_shared::{
    ids::TenantId,
    jobs::{count_later, count_waiting, kinds::queue_names},
    tenancy::find_tenant,
};

use crate::{error::ApiError, state::ApiState};

/// How long a count is good.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// A tenant that has reached its cap is counted again no sooner.
const FULL_FOR: Duration = Duration::from_millis(100);
/// The quota's name in problems.
const NAME: &str = "waiting_jobs";

/// What is known of each tenant.
#[derive(Debug, Default)]
pub struct WaitingCaps(Mutex<HashMap<TenantId, Known>>);

#[derive(Debug, Clone, Copy)]
struct Known {
    limit: u32,
    waiting: u32,
    counted_at: Instant,
}

impl WaitingCaps {
    /// Takes places for `jobs` more waiting jobs, or says that there are none.
    pub async fn take(
        &self,
        state: &ApiState,
        tenant: &TenantId,
        jobs: u32,
    ) -> Result<(), ApiError> {
        if let Some(answer) = self.take_known(tenant, jobs) {
            return answer;
        }
        let counted = count(state, tenant).await?;
        let mut all = self.lock();
        let known = all.entry(tenant.clone()).or_insert(counted);
        if counted.counted_at > known.counted_at {
            *known = counted;
        }
        known.take(jobs)
    }

    /// Forgets what is known of a tenant, whose limit may have changed.
    pub fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    /// The answer by what is known, if that is good enough. The first that finds a count too old counts
    /// anew; those beside it go on with the old one.
    fn take_known(&self, tenant: &TenantId, jobs: u32) -> Option<Result<(), ApiError>> {
        let mut all = self.lock();
        let known = all.get_mut(tenant)?;
        let age = known.counted_at.elapsed();
        if age < GOOD_FOR {
            let answer = known.take(jobs);
            if answer.is_ok() || age < FULL_FOR {
                return Some(answer);
            }
        }
        known.counted_at = Instant::now();
        None
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Known>> {
        // Each entry is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn take(&mut self, jobs: u32) -> Result<(), ApiError> {
        let after = self.waiting.saturating_add(jobs);
        if after > self.limit {
            return Err(ApiError::QuotaExceeded {
                name: NAME,
                limit: self.limit,
                used: self.waiting,
            });
        }
        self.waiting = after;
        Ok(())
    }
}

/// Counts in the gate what is queued, and in the record what waits for its time; if Redis does not
/// answer, all of it in the record.
async fn count(state: &ApiState, tenant: &TenantId) -> Result<Known, ApiError> {
    let counted_at = Instant::now();
    let mut tx = state.database().tenant(tenant).await?;
    let limit = find_tenant(&mut tx)
        .await?
        .ok_or(ApiError::Unauthenticated)?
        .job_limits
        .max_waiting;
    let enough = limit.saturating_add(1);
    let waiting = match queued(state, tenant).await {
        Some(queued) => queued.saturating_add(count_later(&mut tx, enough).await?),
        None => count_waiting(&mut tx, enough).await?,
    };
    Ok(Known {
        limit,
        waiting,
        counted_at,
    })
}

async fn queued(state: &ApiState, tenant: &TenantId) -> Option<u32> {
    let mut queued = 0;
    for queue in queue_names() {
        let loads = state
            .gate()
            .loads(queue, std::slice::from_ref(tenant))
            .await
            .ok()?;
        queued += loads.iter().map(|load| load.waiting).sum::<u64>();
    }
    u32::try_from(queued).ok()
}
