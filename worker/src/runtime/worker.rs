//! Puts the parts of a worker together on apalis.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{BoxDynError, Data, Monitor, WorkerBuilder, WorkerBuilderExt as _};
use tokio::sync::{Semaphore, watch};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;
use unity_kubernetes::ClusterClient;
use unity_shared::{
    clock::Clock,
    db::{Database, DbError},
    ids::{JobId, WorkerId},
    jobs::{ClaimedJob, Finish, LeaseKey, Report, Verdict},
    queue::Gate,
    telemetry::chain,
};

use super::{
    batch::Batcher,
    claim::Claimer,
    drain::{HAND_BACK_TIME, drain},
    execute::execute,
    finish::Finisher,
    heartbeat::Heartbeat,
    inflight::InFlight,
    progress::Recorder,
    register::{Registration, insert_worker, mark_worker_stopped},
    settle::Settler,
    source::{GateSource, Member, ReadyJob},
};
use crate::{handler::Registry, jobs};

/// What jobs work with.
#[derive(Debug, Clone)]
pub struct WorkerServices {
    /// The record.
    pub database: Database,
    /// The queue.
    pub gate: Gate,
    /// The cluster that tenants' namespaces are in.
    pub cluster: ClusterClient,
    /// The time.
    pub clock: Clock,
}

/// How a worker process works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The pool that it belongs to; it consumes the queue of that name.
    pub pool: String,
    /// Where it runs, for the list of workers.
    pub host: String,
    /// Jobs at once.
    pub concurrency: u32,
    /// How long a job stays its own without a sign of life.
    pub lease: Duration,
    /// How long running jobs may take to end when it stops.
    pub drain: Duration,
}

/// Why a worker could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The list of workers could not be written.
    #[error("could not register the worker")]
    Register(#[source] DbError),
    /// The runtime ended by itself.
    #[error("the worker runtime ended: {0}")]
    Runtime(String),
}

/// A worker, ready to run.
#[derive(Debug)]
pub struct Worker {
    id: WorkerId,
    services: WorkerServices,
    options: WorkerOptions,
}

/// What every job that passes through shares.
#[derive(Clone)]
struct Way {
    claims: Batcher<JobId, Option<ClaimedJob>>,
    finishes: Batcher<Finish, bool>,
    inflight: InFlight,
    registry: Arc<Registry>,
    reports: Batcher<Report, ()>,
    clock: Clock,
}

impl Worker {
    /// A worker with an id of its own.
    #[must_use]
    pub fn new(services: WorkerServices, options: WorkerOptions) -> Self {
        Self {
            id: WorkerId::new(),
            services,
            options,
        }
    }

    /// Who it is, for this start only.
    #[must_use]
    pub const fn id(&self) -> WorkerId {
        self.id
    }

    /// Takes and runs jobs until `shutdown`, then drains.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let span = tracing::info_span!("worker", worker_id = %self.id, pool = %self.options.pool);
        self.run_inner(shutdown).instrument(span).await
    }

    async fn run_inner(self, shutdown: CancellationToken) -> Result<(), WorkerError> {
        let registry = jobs::registry(&self.services);
        let queue: Arc<str> = self.options.pool.as_str().into();
        let kinds: Arc<[&'static str]> = registry.kinds_of(&queue).into();
        self.register(&kinds).await.map_err(WorkerError::Register)?;
        tracing::info!(
            ?kinds,
            concurrency = self.options.concurrency,
            "worker started"
        );

        let inflight = InFlight::new(self.options.lease);
        let way = self.way(&queue, kinds, registry, inflight.clone());
        let (capacity, heartbeat) = self.heartbeat(&queue, inflight.clone());
        let beating = AbortOnDropHandle::new(tokio::spawn(heartbeat.run().in_current_span()));
        let guard = tokio::spawn(Heartbeat::guard(inflight.clone()).in_current_span());
        let guarding = AbortOnDropHandle::new(guard);
        let draining = drain(shutdown.clone(), inflight, self.options.drain);
        let draining = AbortOnDropHandle::new(tokio::spawn(draining.in_current_span()));

        // No more is admitted for a worker that is about to go.
        let no_capacity = {
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                shutdown.cancelled().await;
                let _ = capacity.send(0);
                std::future::pending::<()>().await;
            })
        };
        let no_capacity = AbortOnDropHandle::new(no_capacity);

        let outcome = self.run_monitor(&queue, way, shutdown).await;
        drop((beating, guarding, draining, no_capacity));
        self.leave(&queue).await;
        outcome
    }

    fn way(
        &self,
        queue: &Arc<str>,
        kinds: Arc<[&'static str]>,
        registry: Registry,
        inflight: InFlight,
    ) -> Way {
        let WorkerServices {
            database,
            gate,
            clock,
            cluster: _,
        } = &self.services;
        let claimer = Claimer {
            database: database.clone(),
            gate: gate.clone(),
            clock: clock.clone(),
            worker: self.id,
            queue: Arc::clone(queue),
            kinds,
            lease: self.options.lease,
        };
        let finisher = Finisher {
            database: database.clone(),
            clock: clock.clone(),
        };
        let recorder = Recorder {
            database: database.clone(),
            gate: gate.clone(),
            clock: clock.clone(),
        };
        Way {
            claims: claimer.start(),
            finishes: finisher.start(),
            inflight,
            registry: Arc::new(registry),
            reports: recorder.start(),
            clock: clock.clone(),
        }
    }

    fn heartbeat(&self, queue: &Arc<str>, inflight: InFlight) -> (watch::Sender<u32>, Heartbeat) {
        let (capacity, receiver) = watch::channel(self.options.concurrency);
        let heartbeat = Heartbeat {
            database: self.services.database.clone(),
            gate: self.services.gate.clone(),
            clock: self.services.clock.clone(),
            worker: self.id,
            queue: Arc::clone(queue),
            capacity: receiver,
            inflight,
            lease: self.options.lease,
        };
        (capacity, heartbeat)
    }

    async fn run_monitor(
        &self,
        queue: &Arc<str>,
        way: Way,
        shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        let most = usize::try_from(self.options.concurrency).unwrap_or(usize::MAX);
        let places = Arc::new(Semaphore::new(most));
        let settler = Settler {
            gate: self.services.gate.clone(),
            worker: self.id,
            queue: Arc::clone(queue),
        };
        let settler = settler.start();
        let member = Member {
            gate: self.services.gate.clone(),
            worker: self.id,
            queue: Arc::clone(queue),
        };
        let ended = CancellationToken::new();
        let signal = {
            let ended = ended.clone();
            async move {
                tokio::select! { () = shutdown.cancelled() => {} () = ended.cancelled() => {} }
                Ok(())
            }
        };
        Monitor::new()
            .register(move |_| {
                let source =
                    GateSource::new(member.clone(), Arc::clone(&places), most, settler.clone());
                WorkerBuilder::new(member.worker.to_string())
                    .backend(source)
                    .concurrency(most)
                    .data(way.clone())
                    .build(run_job)
            })
            .should_restart(move |_, error| {
                // The backend mends itself, so an end is a defect; let the process say so and go.
                tracing::error!(%error, "worker runtime failed");
                ended.cancel();
                false
            })
            .shutdown_timeout(self.options.drain + HAND_BACK_TIME)
            .run_with_signal(signal)
            .await
            .map_err(|error| WorkerError::Runtime(error.to_string()))
    }

    async fn register(&self, kinds: &[&'static str]) -> Result<(), DbError> {
        let registration = Registration {
            id: self.id,
            pool: &self.options.pool,
            host: &self.options.host,
            kinds,
            concurrency: self.options.concurrency,
        };
        let mut tx = self.services.database.engine().statement().await?;
        insert_worker(&mut tx, &registration, self.services.clock.now()).await
    }

    /// Leaving is a courtesy: a worker that could not say so is missed after its lease.
    async fn leave(&self, queue: &str) {
        if let Err(error) = self.services.gate.leave(self.id, queue).await {
            tracing::warn!(error = chain(&error), "could not leave the gate");
        }
        let stopped = async {
            let mut tx = self.services.database.engine().statement().await?;
            mark_worker_stopped(&mut tx, self.id, self.services.clock.now()).await
        };
        if let Err(error) = stopped.await {
            tracing::warn!(error = chain(&error), "could not record the stop");
        }
        tracing::info!("worker stopped");
    }
}

/// One job, from its id to its verdict. The backend's own layer settles it afterwards.
async fn run_job(ready: ReadyJob, way: Data<Way>) -> Result<(), BoxDynError> {
    let Some(job) = way.claims.call(ready.id).await.flatten() else {
        return Ok(());
    };
    let span = tracing::info_span!(
        "job", job_id = %job.id, tenant_id = %job.tenant_id, kind = %job.kind, attempt = job.attempt,
        request_id = job.request_id.map(tracing::field::display),
    );
    carry_out(job, &way).instrument(span).await;
    Ok(())
}

async fn carry_out(job: ClaimedJob, way: &Way) {
    let started = tokio::time::Instant::now();
    let place = way.inflight.enter(&job);
    let lease = LeaseKey {
        tenant_id: job.tenant_id.clone(),
        id: job.id,
        fence: job.fence,
    };
    let job = Arc::new(job);
    let verdict = execute(
        Arc::clone(&job),
        &place,
        &way.registry,
        &way.reports,
        &way.clock,
    )
    .await;
    let Some(verdict) = verdict else {
        tracing::warn!("lease lost, nothing written");
        return;
    };
    let outcome = outcome_name(&verdict);
    let counted = way
        .finishes
        .call(Finish { lease, verdict })
        .await
        .unwrap_or(false);
    let seconds = started.elapsed().as_secs_f64();
    metrics::histogram!("unity_job_attempt_seconds", "kind" => job.kind.clone()).record(seconds);
    metrics::counter!("unity_job_attempts_total", "kind" => job.kind.clone(), "outcome" => outcome)
        .increment(1);
    tracing::info!(outcome, counted, seconds, "attempt ended");
}

const fn outcome_name(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Succeeded(_) => "succeeded",
        Verdict::Failed(_) => "failed",
        Verdict::Retry(..) => "retried",
        Verdict::Snoozed(_) => "snoozed",
        Verdict::HandedBack => "handed_back",
        Verdict::Cancelled(_) => "cancelled",
    }
}
