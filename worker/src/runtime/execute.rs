//! Runs one claimed job: its handler on a task of its own, until it ends or must end.

use std::{sync::Arc, time::Duration};

use serde_json::Value;
use tokio::{task::JoinError, time::Instant};
use tracing::Instrument;
use unity_shared::{
    batch::Batcher,
    clock::Clock,
    jobs::{ClaimedJob, JobFailure, LeaseKey, Report, RetryPolicy, Verdict},
};

use super::{
    inflight::{Place, Stop},
    progress::ProgressReporter,
};
use crate::handler::{JobContext, JobError, Registry};

/// How an attempt ended.
enum Ending {
    /// By itself, after it had run for so long.
    Handler(Result<Value, JobError>, Duration),
    Panicked,
    TimedOut,
    Stopped,
}

/// How long a handler that is ended may take to its next await. One that computes without a pause, or
/// blocks its thread, cannot be ended from outside; its job must not wait for it.
const ABORT_TIME: Duration = Duration::from_secs(1);

/// Runs the job and answers the verdict, `None` if the lease was lost and nothing may be written; and for
/// how long the handler ran. What a short job waits for its turn among others is not its running time.
pub(super) async fn execute(
    job: Arc<ClaimedJob>,
    place: &Place,
    registry: &Registry,
    reports: &Batcher<Report, ()>,
    clock: &Clock,
) -> (Option<Verdict>, Duration) {
    let begun = Instant::now();
    let Some(registered) = registry.find(&job.kind) else {
        // The claim names the kinds that are registered, so this is a defect; the job is not lost.
        return (Some(Verdict::HandedBack), Duration::ZERO);
    };
    let lease = LeaseKey {
        tenant_id: job.tenant_id.clone(),
        id: job.id,
        fence: job.fence,
    };
    let progress = ProgressReporter::new(reports.clone(), lease);
    let context = JobContext {
        job: Arc::clone(&job),
        progress: progress.clone(),
        cancelled: place.token.clone(),
    };
    let grace = registered.spec.cancel_grace;
    let ending = run_bounded(&job, place, grace, registered.run(context)).await;
    let ran = if let Ending::Handler(_, ran) = ending {
        // A verdict that overtook it would make the last report too late.
        progress.flush().await;
        ran
    } else {
        begun.elapsed()
    };
    let verdict = verdict(&job, ending, place, registered.spec.retry, clock);
    (verdict, ran)
}

async fn run_bounded(
    job: &ClaimedJob,
    place: &Place,
    grace: Duration,
    handler: futures::future::BoxFuture<'static, Result<Value, JobError>>,
) -> Ending {
    let limit = Duration::from_secs(u64::try_from(job.timeout_seconds).unwrap_or(1));
    let timed = async move {
        let begun = Instant::now();
        (handler.await, begun.elapsed())
    };
    let mut task = tokio::spawn(timed.in_current_span());
    let ending = tokio::select! {
        done = &mut task => return ended(done),
        () = tokio::time::sleep(limit) => Ending::TimedOut,
        () = place.token.cancelled() => Ending::Stopped,
    };
    if place.stop_reason() == Some(Stop::Cancelled) {
        // Its token tells the handler, which may put things in order; the deadline is hard.
        // A lost lease ends the grace: another worker may begin the job.
        tokio::select! {
            done = &mut task => return ended(done),
            () = tokio::time::sleep(grace) => {}
            () = place.lost.cancelled() => {}
        }
    }
    // The handler learns of it through its token, then its task ends at its next await.
    place.token.cancel();
    task.abort();
    match tokio::time::timeout(ABORT_TIME, task).await {
        // It obeyed its token, or was ended: why it had to stop is what counts.
        Ok(Ok((Err(JobError::Cancelled { .. }), _)) | Err(_)) => ending,
        // It was done in the same moment: what it did counts.
        Ok(Ok((result, ran))) => Ending::Handler(result, ran),
        Err(_) => {
            tracing::error!(
                "the handler does not let go of its thread; its verdict is written without it"
            );
            ending
        }
    }
}

fn ended(done: Result<(Result<Value, JobError>, Duration), JoinError>) -> Ending {
    match done {
        Ok((result, ran)) => Ending::Handler(result, ran),
        Err(_) => Ending::Panicked,
    }
}

fn verdict(
    job: &ClaimedJob,
    ending: Ending,
    place: &Place,
    policy: RetryPolicy,
    clock: &Clock,
) -> Option<Verdict> {
    if place.stop_reason() == Some(Stop::LeaseLost) {
        return None;
    }
    let retry = |code: &str, message: String, at_least: Duration| {
        let failure = JobFailure {
            code: code.to_owned(),
            message,
            retryable: true,
        };
        if job.attempt >= job.max_attempts {
            return Verdict::Failed(failure);
        }
        let delay = policy.delay_after(job.attempt).max(at_least);
        Verdict::Retry(failure, clock.now() + delay)
    };
    let fail = |code: &str, message: String| JobFailure {
        code: code.to_owned(),
        message,
        retryable: false,
    };
    let cancelled = place.stop_reason() == Some(Stop::Cancelled);
    Some(match ending {
        Ending::Handler(Ok(value), _) => Verdict::Succeeded(value),
        Ending::Handler(Err(error), _) => match error {
            JobError::Retry { code, message } => retry(&code, message, Duration::ZERO),
            JobError::RetryAfter {
                code,
                message,
                delay,
            } => retry(&code, message, delay),
            JobError::Fail { code, message } => Verdict::Failed(fail(&code, message)),
            JobError::Snooze(delay) => Verdict::Snoozed(clock.now() + delay),
            // A handler cannot tell a worker that stops from a wish to cancel.
            JobError::Cancelled { .. } if place.stop_reason() == Some(Stop::HandBack) => {
                Verdict::HandedBack
            }
            JobError::Cancelled { message } => Verdict::Cancelled(fail("job.cancelled", message)),
        },
        Ending::Panicked | Ending::TimedOut | Ending::Stopped if cancelled => {
            let message = format!("the job was cancelled while attempt {} ran", job.attempt);
            Verdict::Cancelled(fail("job.cancelled", message))
        }
        Ending::Panicked => retry(
            "handler.panicked",
            "the handler panicked".to_owned(),
            Duration::ZERO,
        ),
        Ending::TimedOut => retry(
            "handler.timed_out",
            format!(
                "attempt {} took longer than {} seconds",
                job.attempt, job.timeout_seconds
            ),
            Duration::ZERO,
        ),
        Ending::Stopped => Verdict::HandedBack,
    })
}
