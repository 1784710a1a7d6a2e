//! Puts the parts of a worker together on apalis.

use std::{sync::Arc, time::Duration};

use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt as _};
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::Instrument;
use unity_kubernetes::ClusterClient;
use unity_shared::{
    clock::Clock,
    db::{Database, DbError, KeptSessions},
    ids::WorkerId,
    jobs::{Claim, claim_jobs, finish_jobs},
    queue::Gate,
    telemetry::chain,
};

use super::{
    assignment::Assignment,
    cancel::Canceller,
    capacity::Capacity,
    claim::Claimer,
    drain::{HAND_BACK_TIME, drain},
    finish::Finisher,
    heartbeat::Heartbeat,
    held::Held,
    inflight::InFlight,
    member::Member,
    progress::Recorder,
    register::{Registration, insert_worker, mark_worker_stopped},
    settle::Settler,
    source::GateSource,
    tally::Tally,
    way::{Way, run_entry},
};
use crate::{handler::Registry, jobs, mail::Mailer};

/// What jobs work with.
#[derive(Debug, Clone)]
pub struct WorkerServices {
    /// The record.
    pub database: Database,
    /// The queue.
    pub gate: Gate,
    /// The cluster that tenants' namespaces are in.
    pub cluster: ClusterClient,
    /// How mails leave.
    pub mailer: Mailer,
    /// The time.
    pub clock: Clock,
}

/// How a worker process works.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// The pool that it belongs to.
    pub pool: String,
    /// What it works on.
    pub assignment: Assignment,
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

/// A claim and the verdicts of a batch travel side by side.
const SESSIONS: usize = 2;
/// What apalis allows at once: the places decide, and their number changes.
const MOST_AT_ONCE: usize = 100_000;

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
        let queue: Arc<str> = self.options.assignment.queue().into();
        let kinds: Arc<[&'static str]> = self.options.assignment.kinds().into();
        self.register(&kinds).await.map_err(WorkerError::Register)?;
        let sessions = KeptSessions::new(&self.services.database, SESSIONS);
        self.warm_up(&sessions).await;
        tracing::info!(
            ?kinds,
            concurrency = self.options.concurrency,
            "worker started"
        );

        let inflight = InFlight::new(self.options.lease);
        let capacity = Capacity::new(self.options.concurrency);
        let places = capacity.places();
        let way = self.way(
            &queue,
            Arc::clone(&kinds),
            registry,
            inflight.clone(),
            places,
            sessions,
        );
        let canceller = Canceller {
            database: self.services.database.clone(),
            gate: self.services.gate.clone(),
            clock: self.services.clock.clone(),
            inflight: inflight.clone(),
        };
        let heartbeat = self.heartbeat(&queue, kinds, capacity.clone(), canceller.clone());
        let drain = drain(shutdown.clone(), inflight.clone(), self.options.drain);
        // No more is admitted for a worker that is about to go.
        let closing = {
            let (shutdown, capacity) = (shutdown.clone(), capacity.clone());
            async move {
                shutdown.cancelled().await;
                capacity.close();
            }
        };
        let beside = [
            beside(heartbeat.run()),
            beside(Heartbeat::guard(inflight)),
            beside(capacity.clone().keep_places()),
            beside(canceller.run()),
            beside(drain),
            beside(closing),
        ];
        let outcome = self.run_monitor(&queue, &capacity, way, shutdown).await;
        drop(beside);
        self.leave(&queue).await;
        outcome
    }

    fn way(
        &self,
        queue: &Arc<str>,
        kinds: Arc<[&'static str]>,
        registry: Registry,
        inflight: InFlight,
        places: Arc<Semaphore>,
        sessions: KeptSessions,
    ) -> Way {
        let WorkerServices {
            database,
            gate,
            clock,
            cluster: _,
            mailer: _,
        } = &self.services;
        let claimer = Claimer {
            sessions: sessions.clone(),
            gate: gate.clone(),
            clock: clock.clone(),
            worker: self.id,
            queue: Arc::clone(queue),
            kinds,
            lease: self.options.lease,
        };
        let finisher = Finisher {
            sessions,
            clock: clock.clone(),
            worker: self.id,
        };
        let settler = Settler {
            gate: gate.clone(),
            worker: self.id,
        };
        let recorder = Recorder {
            database: database.clone(),
            gate: gate.clone(),
            clock: clock.clone(),
        };
        Way {
            tally: Arc::new(Tally::of(&claimer.kinds)),
            claims: claimer.start(),
            member: self.member(queue),
            finishes: finisher.start(),
            settlements: settler.start(),
            inflight,
            held: Held::default(),
            registry: Arc::new(registry),
            reports: recorder.start(),
            places,
            clock: clock.clone(),
        }
    }

    fn member(&self, queue: &Arc<str>) -> Member {
        Member {
            gate: self.services.gate.clone(),
            worker: self.id,
            queue: Arc::clone(queue),
        }
    }

    fn heartbeat(
        &self,
        queue: &Arc<str>,
        kinds: Arc<[&'static str]>,
        capacity: Capacity,
        canceller: Canceller,
    ) -> Heartbeat {
        Heartbeat {
            sessions: KeptSessions::new(&self.services.database, 1).trusted(),
            gate: self.services.gate.clone(),
            clock: self.services.clock.clone(),
            worker: self.id,
            pool: self.options.pool.as_str().into(),
            queue: Arc::clone(queue),
            kinds,
            capacity,
            inflight: canceller.inflight.clone(),
            canceller,
            lease: self.options.lease,
        }
    }

    async fn run_monitor(
        &self,
        queue: &Arc<str>,
        capacity: &Capacity,
        way: Way,
        shutdown: CancellationToken,
    ) -> Result<(), WorkerError> {
        let most = usize::try_from(self.options.concurrency).unwrap_or(usize::MAX);
        let places = capacity.places();
        let member = self.member(queue);
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
                let source = GateSource::new(member.clone(), Arc::clone(&places), most);
                WorkerBuilder::new(member.worker.to_string())
                    .backend(source)
                    .concurrency(MOST_AT_ONCE)
                    .data(way.clone())
                    .build(run_entry)
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

    /// Opens the connections that the first jobs need and brings the statements and scripts to the servers:
    /// otherwise the first jobs would wait for it. What fails is tried again when it is needed.
    async fn warm_up(&self, sessions: &KeptSessions) {
        let services = &self.services;
        let statements = async {
            let (one, other) = futures::try_join!(sessions.take(), sessions.take())?;
            for mut session in [one, other] {
                let nothing = Claim {
                    worker: self.id,
                    shard: services.gate.shard(),
                    epoch: 0,
                    kinds: &[],
                    jobs: &[],
                    lease_expires_at: services.clock.now(),
                };
                claim_jobs(&mut session, &nothing, services.clock.now()).await?;
                let answer = finish_jobs(&mut session, self.id, &[], services.clock.now()).await;
                session.give_back(&answer);
            }
            Ok::<(), DbError>(())
        };
        if let Err(error) = statements.await {
            tracing::warn!(error = chain(&error), "could not prepare statements");
        }
        if let Err(error) = services.gate.load_scripts().await {
            tracing::warn!(error = chain(&error), "could not load scripts");
        }
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

/// A task of the worker that ends with it.
fn beside(task: impl Future<Output = ()> + Send + 'static) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(task.in_current_span()))
}
