//! The worker's end of the ready queue: a backend for apalis around `RedisStorage`.
//!
//! Registration, fetching and the scan for ids that a dead worker had fetched are apalis-redis' own.
//! What it would do with a finished task is not: its acknowledgement, its retries and its clean-up
//! stay unused, because in 1.0.0 each of them loses or repeats jobs; see `docs/adr`. A failing Redis
//! does not end this backend, it starts the inner one anew while running jobs go on.

use std::{
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use apalis_core::{
    backend::{Backend, BackendConfig, finalize::Ephemeral},
    task::{Task, builder::TaskBuilder},
    worker::context::WorkerContext,
};
use apalis_redis::{Config, RedisStorage};
use futures::future::BoxFuture;
use redis::aio::ConnectionManager;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};
use tokio_util::sync::PollSemaphore;
use tower::layer::util::Identity;
use unity_shared::{
    ids::JobId,
    queue::{ReadyJob, Wake, WakeListener, read_entry},
    telemetry::chain,
};

use super::{
    member::Member,
    spare::Spare,
    watched::{Looks, Watched},
};

/// An entry of the ready queue: one job, or several short ones.
#[derive(Debug)]
pub(super) struct ReadyEntry {
    /// At least one; the entry has the name of the first.
    pub jobs: Vec<ReadyJob>,
    /// The place of the first in this worker, free again when it is dropped.
    pub place: OwnedSemaphorePermit,
}

/// How often apalis-redis says that this worker lives, and looks at the ready list. A message says that there
/// is work in the normal case; that look is for the message that was lost.
const HEARTBEAT: Duration = Duration::from_secs(5);
const MISSED_HEARTBEATS: usize = 3;

/// The backend.
pub(super) struct GateSource {
    inner: RedisStorage<ReadyEntry, Watched<ConnectionManager>>,
    looks: Looks,
    /// Whether entries may lie in the inner backend that a look has brought.
    may_hold: bool,
    spare: Spare,
    /// Whether there was a sign of work since the last look began.
    sign: bool,
    places: PollSemaphore,
    place: Option<OwnedSemaphorePermit>,
    wake: WakeUp,
    _listener: WakeListener,
    rejoining: Option<BoxFuture<'static, ()>>,
    member: Member,
}

type WakeUp = BoxFuture<'static, broadcast::Receiver<Wake>>;

/// An error that never comes out: the backend mends itself.
#[derive(Debug, thiserror::Error)]
#[error("unreachable")]
pub(super) enum Never {}

impl GateSource {
    pub(super) fn new(member: Member, places: Arc<Semaphore>, most: usize) -> Self {
        let (gate, queue) = (&member.gate, &*member.queue);
        let config = Config::default()
            .queue(&gate.ready_queue(queue).name)
            .batch_size((most / 4).clamp(1, 100))
            .heartbeat_interval(HEARTBEAT)
            .missed_heartbeats(MISSED_HEARTBEATS)
            .lock_tasks(false)
            .emit_events(false);
        let connection = Watched::new(gate.connection());
        let looks = connection.looks();
        let listener = gate.listen_for_work(queue);
        let wake = wait_for_work(listener.subscribe());
        Self {
            inner: RedisStorage::new(connection).with_config(config),
            looks,
            may_hold: false,
            spare: Spare::default(),
            sign: false,
            places: PollSemaphore::new(places),
            place: None,
            wake,
            _listener: listener,
            rejoining: None,
            member,
        }
    }

    /// Registers the task for the next sign of work, and says whether to look again now.
    ///
    /// A sign may overtake the answer of a look that was made before there was work, as they come on two
    /// connections: while a look is under way, it asks for another after it.
    fn poll_sign(&mut self, cx: &mut Context<'_>) -> bool {
        while let Poll::Ready(receiver) = self.wake.as_mut().poll(cx) {
            self.wake = wait_for_work(receiver);
            self.sign = true;
        }
        !self.looks.are_under_way() && std::mem::take(&mut self.sign)
    }

    /// Starts the inner backend anew after a pause, and gives back what it had fetched.
    fn restart(&mut self, error: &dyn std::error::Error) {
        tracing::warn!(error = chain(error), "ready queue lost, starting anew");
        self.inner = self.inner.clone();
        self.may_hold = false;
        self.spare.clear();
        self.rejoining = Some(Box::pin(self.member.clone().rejoin()));
    }

    fn poll_rejoined(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(rejoining) = &mut self.rejoining {
            if rejoining.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.rejoining = None;
        }
        Poll::Ready(())
    }

    /// The next entry that the inner backend has, or looks for.
    fn poll_inner(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) -> Poll<Vec<ReadyJob>> {
        loop {
            self.may_hold = false;
            match self.inner.poll_next(cx, worker) {
                Poll::Ready(Some(Ok(task))) => {
                    self.may_hold = true;
                    if let Some(jobs) = read_entry(&self.member.queue, &task.args) {
                        return Poll::Ready(jobs);
                    }
                    // No ids of ours: somebody else writes to this queue.
                    let name = task.ctx().task_id().map(ToString::to_string);
                    tracing::error!(?name, "foreign entry in the ready queue dropped");
                }
                Poll::Ready(Some(Err(error))) => {
                    self.restart(&error);
                    // The inner backend registers again in poll_ready.
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(None) => {
                    self.inner = self.inner.clone();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// While there is no place: what a look has brought besides goes on to another worker, which may have
    /// one. If it stayed in the inner backend, that would give no sign of life either.
    fn poll_spare(&mut self, cx: &mut Context<'_>, worker: &WorkerContext) {
        if self.may_hold {
            let _no_further_look = self.looks.hold_back();
            while let Poll::Ready(jobs) = self.poll_inner(cx, worker) {
                self.spare.push(jobs);
            }
        }
        if let Poll::Ready(jobs) = self.spare.poll_overdue(cx) {
            let member = self.member.clone();
            tokio::spawn(async move { member.pass_on(&jobs).await });
        }
    }

    fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.place.is_none() {
            match self.places.poll_acquire(cx) {
                Poll::Ready(place) => self.place = place,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl Backend for GateSource {
    type Task = Task<ReadyEntry>;
    type Error = Never;

    fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Result<(), Never>> {
        loop {
            if self.poll_rejoined(cx).is_pending() {
                return Poll::Pending;
            }
            match self.inner.poll_ready(cx, worker) {
                Poll::Ready(Err(error)) => self.restart(&error),
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        worker: &WorkerContext,
    ) -> Poll<Option<Result<Self::Task, Never>>> {
        loop {
            if self.poll_rejoined(cx).is_pending() {
                return Poll::Pending;
            }
            if self.poll_place(cx).is_pending() {
                self.poll_spare(cx, worker);
                return Poll::Pending;
            }
            let jobs = match self.spare.pop() {
                Some(jobs) => jobs,
                None => match self.poll_inner(cx, worker) {
                    Poll::Ready(jobs) => jobs,
                    Poll::Pending if self.poll_sign(cx) => continue,
                    Poll::Pending => return Poll::Pending,
                },
            };
            if let Some(place) = self.place.take() {
                let entry = ReadyEntry { jobs, place };
                return Poll::Ready(Some(Ok(TaskBuilder::new(entry).build())));
            }
        }
    }

    fn poll_close(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Never>> {
        // Leaving the queue is one script of the gate, run when the last job has settled: apalis-redis
        // would leave this worker registered.
        Poll::Ready(Ok(()))
    }
}

impl BackendConfig for GateSource {
    type Args = ReadyEntry;
    type Id = JobId;
    type Kind = Ephemeral;
    type Config = Config;
    type Layer = Identity;

    fn config(&self) -> &Config {
        self.inner.get_config()
    }

    /// apalis would acknowledge here; the way of a job settles it itself.
    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}

fn wait_for_work(mut receiver: broadcast::Receiver<Wake>) -> WakeUp {
    Box::pin(async move {
        // A message or a lag (messages were missed): look again in each case. The end of the listener is the
        // end of this backend.
        let _ = receiver.recv().await;
        receiver
    })
}
