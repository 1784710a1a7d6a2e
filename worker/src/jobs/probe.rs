//! `probe`: sleeps, fails, panics or succeeds, as its payload says.

use std::time::Duration;

use serde_json::{Value, json};
use unity_shared::jobs::kinds::Probe;

use crate::handler::{self, JobContext, JobError};

pub(super) struct Handler;

impl handler::Handler for Handler {
    type Kind = Probe;

    async fn run(&self, context: JobContext, probe: Probe) -> Result<Value, JobError> {
        let cancelled = context.cancelled.clone();
        tokio::select! {
            () = sleep(&context, &probe) => {}
            () = cancelled.cancelled() => return Err(JobError::Cancelled {
                message: "the probe was told to stop".to_owned(),
            }),
        }
        let attempt = context.job.attempt;
        let millis = |ms: u32| Duration::from_millis(u64::from(ms));
        // A snoozed attempt does not count, but each has a fence of its own.
        if let Some(ms) = probe.snooze_ms.filter(|_| context.job.fence == 1) {
            return Err(JobError::Snooze(millis(ms)));
        }
        if probe.panic == Some(true) {
            panic_as_told();
        }
        if probe.fatal == Some(true) {
            return Err(JobError::Fail {
                code: "probe.fatal".to_owned(),
                message: "the probe was told to fail for good".to_owned(),
            });
        }
        if i64::from(attempt) <= i64::from(probe.fail_attempts.unwrap_or(0)) {
            let code = "probe.failed".to_owned();
            let message = format!("the probe was told to fail attempt {attempt}");
            return Err(match probe.retry_after_ms {
                Some(ms) => JobError::RetryAfter {
                    code,
                    message,
                    delay: millis(ms),
                },
                None => JobError::Retry { code, message },
            });
        }
        Ok(json!({ "echo": probe.echo, "attempt": attempt }))
    }
}

async fn sleep(context: &JobContext, probe: &Probe) {
    let total = Duration::from_millis(u64::from(probe.sleep_ms.unwrap_or(0)));
    let steps = probe.progress_steps.unwrap_or(0).min(100);
    if steps == 0 {
        if !total.is_zero() {
            tokio::time::sleep(total).await;
        }
        return;
    }
    for step in 1..=steps {
        tokio::time::sleep(total / u32::from(steps)).await;
        let percent = u32::from(step) * 100 / u32::from(steps);
        let percent = u8::try_from(percent).unwrap_or(100);
        context
            .progress
            .report(percent, &format!("step {step} of {steps}"))
            .await;
    }
}

#[expect(clippy::panic, reason = "the probe exists to show what a panic does")]
fn panic_as_told() -> ! {
    panic!("the probe was told to panic")
}
