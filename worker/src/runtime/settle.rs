//! Frees the slots of jobs that this worker is done with, whatever became of them.
//!
//! The outermost layer around the handler, and the backend's own: apalis would acknowledge here.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use apalis_core::task::Task;
use futures::future::BoxFuture;
use tower::{Layer, Service};
use unity_shared::{
    ids::{JobId, WorkerId},
    queue::Gate,
    telemetry::chain,
};

use super::{batch::Batcher, source::ReadyJob};

const MOST: usize = 500;

/// What settling needs.
#[derive(Debug, Clone)]
pub(super) struct Settler {
    pub gate: Gate,
    pub worker: WorkerId,
    pub queue: Arc<str>,
}

impl Settler {
    /// The queue in front of it.
    pub(super) fn start(self) -> Batcher<JobId, ()> {
        Batcher::start(MOST, move |ids: Vec<JobId>| {
            let settler = self.clone();
            async move {
                if let Err(error) = settler
                    .gate
                    .settle(settler.worker, &settler.queue, &ids)
                    .await
                {
                    // The slots end by themselves; until then the tenants have less than their limit.
                    tracing::warn!(
                        error = chain(&error),
                        jobs = ids.len(),
                        "could not free slots"
                    );
                }
                ids.iter().map(|_| ()).collect()
            }
        })
    }
}

/// Settles every job that passes, after the inner service is done with it.
#[derive(Debug, Clone)]
pub(super) struct SettleLayer {
    pub settler: Batcher<JobId, ()>,
}

impl<S> Layer<S> for SettleLayer {
    type Service = SettleService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SettleService {
            inner,
            settler: self.settler.clone(),
        }
    }
}

/// The service of [`SettleLayer`].
#[derive(Debug, Clone)]
pub(super) struct SettleService<S> {
    inner: S,
    settler: Batcher<JobId, ()>,
}

impl<S> Service<Task<ReadyJob>> for SettleService<S>
where
    S: Service<Task<ReadyJob>>,
    S::Future: Send + 'static,
    S::Response: Send,
    S::Error: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, task: Task<ReadyJob>) -> Self::Future {
        let (id, place) = (task.args.id, task.args.place());
        let settler = self.settler.clone();
        let done = self.inner.call(task);
        Box::pin(async move {
            let outcome = done.await;
            let _ = settler.call(id).await;
            // Only now may the source fetch another: the gate has counted this one out.
            drop(place);
            outcome
        })
    }
}
