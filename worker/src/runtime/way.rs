//! The way of a job through this process: from the entry that it came in to the slot that is free again.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BoxDynError, Data};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Instant,
};
use tokio_util::task::AbortOnDropHandle;
use tracing::Instrument;
use unity_shared::{
    batch::Batcher,
    clock::Clock,
    jobs::{ClaimedJob, Finish, LeaseKey, Report, Verdict},
    queue::{ReadyJob, Settled},
};

use super::{
    claim::Claimed, execute::execute, held::Held, inflight::InFlight, member::Member,
    source::ReadyEntry, spare::PATIENCE, tally::Tally,
};
use crate::handler::Registry;

/// What every job that passes through shares.
#[derive(Clone)]
pub(super) struct Way {
    pub claims: Batcher<ReadyJob, Claimed>,
    pub member: Member,
    pub finishes: Batcher<Finish, bool>,
    pub settlements: Batcher<Settled, ()>,
    pub inflight: InFlight,
    pub held: Held,
    pub registry: Arc<Registry>,
    pub reports: Batcher<Report, ()>,
    pub tally: Arc<Tally>,
    pub places: Arc<Semaphore>,
    pub clock: Clock,
}

/// How long a job waits for its last attempt here to end, whose lease is lost: longer than a handler is
/// given to let go. Then it goes on to another worker.
const LAST_ATTEMPT: Duration = Duration::from_secs(2);

/// The jobs of an entry, each in a place of its own.
pub(super) async fn run_entry(entry: ReadyEntry, way: Data<Way>) -> Result<(), BoxDynError> {
    let ReadyEntry { jobs, place } = entry;
    let mut jobs = jobs.into_iter();
    let Some(first) = jobs.next() else {
        return Ok(());
    };
    if jobs.len() == 0 {
        run_job(first, place, way).await;
        return Ok(());
    }
    let start = |job: ReadyJob, place: OwnedSemaphorePermit| {
        let job = run_job(job, place, way.clone()).in_current_span();
        AbortOnDropHandle::new(tokio::spawn(job))
    };
    let mut running = vec![start(first, place)];
    while let Some(job) = jobs.next() {
        let place = tokio::time::timeout(PATIENCE, Arc::clone(&way.places).acquire_owned());
        if let Ok(Ok(place)) = place.await {
            running.push(start(job, place));
        } else {
            let rest: Vec<ReadyJob> = std::iter::once(job).chain(jobs).collect();
            way.member.pass_on(&rest).await;
            break;
        }
    }
    for job in running {
        // One that panicked has freed its place; its slot ends by itself.
        let _ = job.await;
    }
    Ok(())
}

/// One job, until its slot is free again.
async fn run_job(job: ReadyJob, place: OwnedSemaphorePermit, way: Data<Way>) {
    let (line, id) = (Arc::clone(&job.line), job.id);
    let Some(_held) = way.held.take(id, LAST_ATTEMPT).await else {
        return way.member.pass_on(&[job]).await;
    };
    let (ran, keyed, waits_again) = match way.claims.call(job).await {
        Some(Claimed::Job(job, asked)) => {
            let keyed = job.resource_key.is_some();
            let span = tracing::info_span!(
                "job", job_id = %job.id, tenant_id = %job.tenant_id, kind = %job.kind, attempt = job.attempt,
                request_id = job.request_id.map(tracing::field::display),
            );
            // What waits for its claim is small and is moved about; what runs stays where it is.
            let running = Box::pin(carry_out(*job, asked, &way));
            let (ran, waits_again) = running.instrument(span).await;
            (Some(ran), keyed, waits_again)
        }
        // Its row was not read, so it may have a key.
        Some(Claimed::SlotOnly) => (None, true, false),
        Some(Claimed::Nothing) | None => return,
    };
    // The answer says only that it was tried; a slot that could not be freed ends by itself.
    let settled = Settled {
        line,
        id,
        ran,
        keyed,
        waits_again,
    };
    let _ = way.settlements.call(settled).await;
    // Only now may the source fetch another: the gate has counted this one out.
    drop(place);
}

/// Runs a claimed job and writes its verdict. Answers how long the handler ran, and whether the job was
/// handed back and waits again.
async fn carry_out(job: ClaimedJob, asked: Instant, way: &Way) -> (Duration, bool) {
    let place = way.inflight.enter(&job, asked);
    let lease = LeaseKey {
        tenant_id: job.tenant_id.clone(),
        id: job.id,
        fence: job.fence,
    };
    let job = Arc::new(job);
    let (verdict, ran) = execute(
        Arc::clone(&job),
        &place,
        &way.registry,
        &way.reports,
        &way.clock,
    )
    .await;
    let Some(verdict) = verdict else {
        tracing::warn!("lease lost, nothing written");
        return (ran, false);
    };
    let handed_back = matches!(verdict, Verdict::HandedBack);
    let outcome = verdict.outcome();
    let finish = Finish {
        lease,
        started_at: job.attempt_started_at,
        verdict,
    };
    let counted = way.finishes.call(finish).await.unwrap_or(false);
    way.tally.count(&job.kind, outcome, ran);
    let seconds = ran.as_secs_f64();
    tracing::info!(
        outcome = outcome.as_str(),
        counted,
        seconds,
        "attempt ended"
    );
    (ran, handed_back && counted)
}
