//! What a handler is given and what it may answer.

use std::{collections::HashMap, future::Future, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use unity_shared::{
    ids::TenantId,
    jobs::{ClaimedJob, JobKind, KindSpec, kinds::spec_of},
};

use crate::runtime::ProgressReporter;

/// Carries out the jobs of one kind.
///
/// A handler runs at least once for every job: when a worker dies between the work and the
/// write-back, another runs it again. It must come to the same end then.
pub trait Handler: Send + Sync + 'static {
    /// The kind, which is also the payload.
    type Kind: JobKind;

    /// Does the work and answers the job's result.
    fn run(
        &self,
        job: JobContext,
        payload: Self::Kind,
    ) -> impl Future<Output = Result<Value, JobError>> + Send;
}

/// What a handler knows of its job besides the payload.
#[derive(Debug, Clone)]
pub struct JobContext {
    /// The job as it was claimed.
    pub job: Arc<ClaimedJob>,
    /// Reports how far the work is.
    pub progress: ProgressReporter,
    /// Fires when the attempt is to end before the handler is done. After a cancellation the handler
    /// has its kind's `CANCEL_GRACE` to put things in order; after a time-out, a lost lease or a
    /// worker's stop its task is ended right away.
    pub cancelled: CancellationToken,
}

impl JobContext {
    /// Whose job it is.
    #[must_use]
    pub fn tenant_id(&self) -> &TenantId {
        &self.job.tenant_id
    }
}

/// How a handler ends without a result. `code` is stable and `dot.case`; `message` is shown to the
/// tenant, so it names nothing of other tenants and no secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobError {
    /// Might succeed if tried again: the kind's policy says when, or the job fails if this was its
    /// last attempt.
    Retry {
        /// Stable code.
        code: String,
        /// What failed, on what.
        message: String,
    },
    /// Like `Retry`, but not before the given time has passed.
    RetryAfter {
        /// Stable code.
        code: String,
        /// What failed, on what.
        message: String,
        /// How long to wait at least.
        delay: Duration,
    },
    /// No retry can mend it.
    Fail {
        /// Stable code.
        code: String,
        /// What failed, on what.
        message: String,
    },
    /// Not yet: run again after this time; the attempt does not count.
    Snooze(Duration),
    /// The handler saw that the job is not wanted any more.
    Cancelled {
        /// Why.
        message: String,
    },
}

type Run = dyn Fn(JobContext) -> BoxFuture<'static, Result<Value, JobError>> + Send + Sync;

/// A kind and what carries it out.
#[derive(Clone)]
pub struct Registered {
    /// The kind.
    pub spec: KindSpec,
    run: Arc<Run>,
}

impl Registered {
    /// The handler's work, not started yet. A payload that does not fit the kind any more fails the job.
    #[must_use]
    pub fn run(&self, context: JobContext) -> BoxFuture<'static, Result<Value, JobError>> {
        (self.run)(context)
    }
}

/// The kinds that a worker process can run.
#[derive(Clone, Default)]
pub struct Registry {
    handlers: HashMap<&'static str, Registered>,
}

impl Registry {
    /// Adds a handler under the name of its kind.
    pub fn register<H: Handler>(&mut self, handler: H) {
        let handler = Arc::new(handler);
        let run = move |context: JobContext| -> BoxFuture<'static, Result<Value, JobError>> {
            let handler = Arc::clone(&handler);
            Box::pin(async move {
                let payload: H::Kind =
                    serde_json::from_str(&context.job.payload).map_err(|error| JobError::Fail {
                        code: "payload.unreadable".to_owned(),
                        message: format!("the payload does not fit the kind: {error}"),
                    })?;
                handler.run(context, payload).await
            })
        };
        let spec = spec_of::<H::Kind>();
        self.handlers.insert(
            spec.name,
            Registered {
                spec,
                run: Arc::new(run),
            },
        );
    }

    /// The handler of a kind.
    #[must_use]
    pub fn find(&self, kind: &str) -> Option<&Registered> {
        self.handlers.get(kind)
    }
}
