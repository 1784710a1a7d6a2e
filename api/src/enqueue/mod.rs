//! Taking jobs in: the cap on what waits, the record, and the gate afterwards.
//!
//! Requests that arrive together are written together (`group_commit`); one that must be a
//! transaction of its own, because it is large or of several kinds, or has a key and its tenant is near the cap,
//! writes itself and tells the gate here.

mod group_commit;
mod order;
mod tell_gate;
mod told_orders;
mod waiting_cap;
mod write_orders;

pub use group_commit::{GroupCommit, start_group_commit};
pub use order::{Fate, Keep, Order};
pub use tell_gate::{announce_limits, tell_gate, try_briefly};
pub use told_orders::ToldOrders;
pub use waiting_cap::{Places, WaitingCaps};

use unity_shared::{
    db::TenantTx,
    ids::TenantId,
    jobs::{NewJob, SwitchAction, list_own_switches},
    tenancy::{TenantStatus, find_tenant},
};

use crate::{auth::why_refused, error::ApiError, state::ApiState};

/// Why a job of this tenant was left out of a statement that wrote others.
pub async fn why_not_written(state: &ApiState, tenant: &TenantId, job: &NewJob) -> ApiError {
    let look = async {
        let mut tx = state.database().tenant(tenant).await?;
        explain(state, &mut tx, job).await
    };
    look.await.unwrap_or_else(ApiError::from)
}

/// The refusal of jobs of these kinds, if a switch takes one of them not in.
pub async fn why_drained(
    state: &ApiState,
    tx: &mut TenantTx,
    kinds: impl IntoIterator<Item = &str> + Clone,
) -> Result<Option<ApiError>, ApiError> {
    let drained = list_own_switches(tx, state.clock().now())
        .await?
        .into_iter()
        .filter(|switch| match switch.action {
            SwitchAction::Drain => true,
            SwitchAction::Pause => false,
        })
        .find(|switch| match &switch.scope.kind {
            Some(drained) => kinds.clone().into_iter().any(|kind| kind == drained),
            None => true,
        });
    Ok(drained.map(|switch| ApiError::Drained {
        reason: switch.reason,
        until: switch.expires_at,
    }))
}

/// The same within a transaction.
pub async fn explain(
    state: &ApiState,
    tx: &mut TenantTx,
    job: &NewJob,
) -> Result<ApiError, ApiError> {
    // The tenant may have been suspended since the caller was let in.
    let status = find_tenant(tx).await?.map(|tenant| tenant.status);
    if let Some((code, state)) = status.and_then(why_refused) {
        return Ok(ApiError::TenantInactive { code, state });
    }
    let drained = why_drained(state, tx, [job.kind_name()]).await?;
    Ok(match (status, drained) {
        (_, Some(drained)) => drained,
        (None, None) => ApiError::Unauthenticated,
        (Some(TenantStatus::Active), None) => {
            // What stood in the way is gone again.
            ApiError::Busy
        }
        (Some(status), None) => ApiError::Defect(format!("no reason to refuse, status {status:?}")),
    })
}
