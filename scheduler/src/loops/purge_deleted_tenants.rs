//! Orders the purge of each deleted tenant whose grace period is over: one `hard_delete_tenant` job,
//! which belongs to the platform.
//!
//! The order and the look for earlier ones are one transaction under a lock, so two leaders order one
//! purge. A purge that failed for good is ordered again after an hour.

use std::sync::Arc;

use chrono::TimeDelta;
use serde_json::json;
use unity_shared::{
    audit::Author,
    ids::TenantId,
    jobs::{
        NewJob, OrderedJobs, enqueue_for_tenants,
        kinds::{HardDeleteTenant, spec_of},
        tell_of_orders,
    },
    queue::Offer,
    tenancy::select_tenants_to_purge,
};

use super::{Context, LoopError};

/// How long a purge that failed is left alone.
const PAUSE: TimeDelta = TimeDelta::hours(1);

pub(super) async fn tick(context: &Context) -> Result<(), LoopError> {
    let now = context.clock.now();
    let shard = context.gate.shard();
    let platform = TenantId::platform();
    let mut tx = context.database.engine().begin().await?;
    let due = select_tenants_to_purge(&mut tx, shard, now - PAUSE, now).await?;
    if due.is_empty() {
        return Ok(());
    }
    let mut jobs = Vec::with_capacity(due.len());
    for tenant_id in due {
        let order = HardDeleteTenant { tenant_id };
        let refuse = |detail: String| LoopError::Schedule {
            name: "purge_deleted_tenants".to_owned(),
            detail,
        };
        let mut job = NewJob::new(&spec_of::<HardDeleteTenant>(), &json!(order), now)
            .map_err(|error| refuse(error.to_string()))?;
        job.resource_key = Some(order.resource_key());
        jobs.push(job);
    }
    let rows: Vec<(&TenantId, &NewJob)> = jobs.iter().map(|job| (&platform, job)).collect();
    let written = enqueue_for_tenants(&mut tx, &rows, now).await?.written;
    let ordered = OrderedJobs {
        tenant: platform.clone(),
        jobs: jobs
            .iter()
            .filter(|job| written.contains(&job.id))
            .map(|job| (job.id, job.kind_name()))
            .collect(),
        author: Arc::new(Author::system("scheduler")),
    };
    tell_of_orders(&mut tx, &[ordered], now).await?;
    tx.commit().await?;
    let offers: Vec<Offer> = jobs
        .iter()
        .filter(|job| written.contains(&job.id))
        .map(|job| job.offer(&platform))
        .collect();
    context.gate.offer(&offers).await?;
    tracing::info!(purges = offers.len(), "purges of deleted tenants ordered");
    Ok(())
}
