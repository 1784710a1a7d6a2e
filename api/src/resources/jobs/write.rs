//! Writes jobs, all of them or none, and with the answer that a repetition of the request gets: together with
//! others' or in a transaction of their own.

use std::sync::Arc;

use axum::response::Response;
use chrono::{DateTime, Utc};
use unity_shared::{
    audit::Author,
    jobs::{Enqueued, NewJob, OrderedJobs, enqueue_jobs},
    tenancy::RecordedAnswer,
};

use super::repeat::{find_before, keep};
use crate::{
    auth::TenantCaller,
    enqueue::{Fate, Keep, Order, Places, explain, tell_gate},
    error::ApiError,
    extract::IdempotentRequest,
    state::ApiState,
};

/// Writes jobs with whatever else arrives now, and answers what became of them; `None` if they are to be written
/// apart. An answer is kept if there is a request to repeat.
pub async fn write_together(
    state: &ApiState,
    caller: &TenantCaller,
    author: &Arc<Author>,
    jobs: &Arc<[NewJob]>,
    keep: Option<Keep>,
) -> Result<Option<Fate>, ApiError> {
    let is_lone = jobs.len() == 1;
    if !is_lone && !go_together(jobs) {
        return Ok(None);
    }
    let count = u32::try_from(jobs.len()).unwrap_or(u32::MAX);
    let places = state
        .waiting_caps()
        .take(state, &caller.tenant, count)
        .await?;
    if places.limit().is_some() && (!is_lone || keep.is_some()) {
        return Ok(None);
    }
    let order = Order {
        tenant: caller.tenant.clone(),
        jobs: Arc::clone(jobs),
        author: Arc::clone(author),
        places,
        keep,
    };
    let outcome = state
        .group_commit()
        .call(order)
        .await
        .ok_or_else(|| ApiError::Defect("the group commit has ended".to_owned()))?;
    Ok(Some(outcome?))
}

/// Whether several jobs can be one [`Order`].
fn go_together(jobs: &[NewJob]) -> bool {
    let kind = jobs.first().map(NewJob::kind_name);
    let is_one_kind = jobs.iter().all(|job| Some(job.kind_name()) == kind);
    jobs.len() <= Order::MOST_JOBS && is_one_kind && !jobs.iter().any(NewJob::may_supersede)
}

/// What became of an order.
pub enum Written {
    /// The jobs were written.
    Now(Enqueued),
    /// The same request came before and this is its answer.
    Before(Response),
}

/// Jobs that are one transaction.
pub struct Apart<'a> {
    pub jobs: &'a [NewJob],
    /// Who orders them.
    pub author: &'a Arc<Author>,
    /// Absent = there is no repetition to keep an answer for.
    pub request: Option<&'a IdempotentRequest>,
    pub now: DateTime<Utc>,
    /// Whether the refusal of one of them names its place in the body.
    pub is_batch: bool,
}

/// Writes the jobs; with a request, also what `answer` makes of it, for its repetition.
pub async fn write_apart(
    state: &ApiState,
    caller: &TenantCaller,
    apart: &Apart<'_>,
    answer: impl Fn(&IdempotentRequest, &Enqueued) -> RecordedAnswer,
) -> Result<Written, ApiError> {
    let count = u32::try_from(apart.jobs.len()).unwrap_or(u32::MAX);
    let places = state
        .waiting_caps()
        .take(state, &caller.tenant, count)
        .await?;
    match write(state, caller, apart, &places, answer).await? {
        Ok(enqueued) => {
            let told = apart.jobs.iter().map(|job| (&caller.tenant, job));
            tell_gate(state.gate(), told, &enqueued, apart.now).await;
            places.settle();
            let jobs = apart.jobs.iter();
            state.told_orders().tell(OrderedJobs {
                tenant: caller.tenant.clone(),
                jobs: jobs.map(|job| (job.id, job.kind_name())).collect(),
                author: Arc::clone(apart.author),
            });
            Ok(Written::Now(enqueued))
        }
        Err(before) => Ok(Written::Before(before)),
    }
}

/// What was written, or the answer from before.
async fn write(
    state: &ApiState,
    caller: &TenantCaller,
    apart: &Apart<'_>,
    places: &Places,
    answer: impl Fn(&IdempotentRequest, &Enqueued) -> RecordedAnswer,
) -> Result<Result<Enqueued, Response>, ApiError> {
    let Apart {
        jobs,
        author: _,
        request,
        now,
        is_batch,
    } = *apart;
    let _turn = places.turn().await;
    let mut tx = state.database().tenant(&caller.tenant).await?;
    if let Some(before) = find_before(&mut tx, request).await? {
        return Ok(Err(before));
    }
    places.lock(&mut tx).await?;
    let enqueued = enqueue_jobs(&mut tx, jobs, now).await?;
    let mut all = jobs.iter().enumerate();
    if let Some((place, left_out)) = all.find(|(_, job)| !enqueued.written.contains(&job.id)) {
        let refusal = explain(state, &mut tx, left_out).await?;
        return Err(if is_batch {
            refusal.of_job(place)
        } else {
            refusal
        });
    }
    places.check(&mut tx).await?;
    keep(&mut tx, request, |request| answer(request, &enqueued), now).await?;
    tx.commit().await?;
    Ok(Ok(enqueued))
}
