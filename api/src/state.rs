//! What every handler can reach.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use unity_shared::{
    clock::Clock,
    config::{Network, Secret},
    db::Database,
    jobs::{KindSpec, kinds::KINDS},
    queue::Gate,
};

use crate::{
    audit::Denials,
    auth::{ActAsTokens, KeyOwners},
    enqueue::{GroupCommit, WaitingCaps, start_group_commit},
    limits::{AddressLimit, Addresses, CallLimiter},
    look_up::{JobReads, start_job_reads},
    news::{News, NewsWatch, Subject},
    page_token::PageTokens,
    streams::Streams,
};

/// Settings of the API itself.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Whether jobs of kind `probe` may be started.
    pub probe_jobs: bool,
    /// Signs page tokens; the same for every API process.
    pub secret_key: Secret,
    /// Whether calls are counted and limited; off only to measure what that costs.
    pub rate_limits: bool,
    /// Requests that an address may make of which nobody knows whose they are.
    pub address_limit: AddressLimit,
    /// Proxies in front of the API: what they say about where a request comes from is believed.
    pub trusted_proxies: Vec<Network>,
}

/// Answers of "nothing there" that are looked into at the same time.
const MOST_CROSSINGS: usize = 256;

/// The API's connections and settings. Clones share them.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    database: Database,
    gate: Gate,
    clock: Clock,
    news: News,
    streams: Streams,
    page_tokens: PageTokens,
    key_owners: KeyOwners,
    act_as_tokens: ActAsTokens,
    waiting_caps: WaitingCaps,
    group_commit: GroupCommit,
    job_reads: JobReads,
    addresses: Option<Addresses>,
    calls: Option<CallLimiter>,
    denials: Denials,
    crossings: Arc<Semaphore>,
    trusted_proxies: Arc<[Network]>,
    probe_jobs: bool,
}

impl ApiState {
    /// Begins to listen for news of jobs. Call it inside a tokio runtime.
    #[must_use]
    pub fn new(database: Database, gate: Gate, clock: Clock, options: &ApiOptions) -> Self {
        let news = News::start(gate.listen_for_news());
        let page_tokens = PageTokens::new(&options.secret_key);
        let probe_jobs = options.probe_jobs;
        Self(Arc::new(Inner {
            group_commit: start_group_commit(database.clone(), gate.clone(), clock.clone()),
            job_reads: start_job_reads(database.clone()),
            key_owners: KeyOwners::new(database.clone(), clock.clone()),
            act_as_tokens: ActAsTokens::new(database.clone(), clock.clone()),
            waiting_caps: WaitingCaps::default(),
            addresses: options
                .rate_limits
                .then(|| Addresses::new(options.address_limit)),
            calls: options
                .rate_limits
                .then(|| CallLimiter::start(gate.call_counts(), database.clone())),
            denials: Denials::start(database.clone(), clock.clone()),
            crossings: Arc::new(Semaphore::new(MOST_CROSSINGS)),
            trusted_proxies: options.trusted_proxies.as_slice().into(),
            database,
            gate,
            clock,
            news,
            streams: Streams::default(),
            page_tokens,
            probe_jobs,
        }))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    pub(crate) fn gate(&self) -> &Gate {
        &self.0.gate
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    pub(crate) fn page_tokens(&self) -> &PageTokens {
        &self.0.page_tokens
    }

    pub(crate) fn key_owners(&self) -> &KeyOwners {
        &self.0.key_owners
    }

    pub(crate) fn act_as_tokens(&self) -> &ActAsTokens {
        &self.0.act_as_tokens
    }

    pub(crate) fn waiting_caps(&self) -> &WaitingCaps {
        &self.0.waiting_caps
    }

    pub(crate) fn group_commit(&self) -> &GroupCommit {
        &self.0.group_commit
    }

    pub(crate) fn job_reads(&self) -> &JobReads {
        &self.0.job_reads
    }

    /// The limits of source addresses; absent = there are none.
    pub(crate) fn addresses(&self) -> Option<&Addresses> {
        self.0.addresses.as_ref()
    }

    /// Counts the calls of callers; absent = nobody does.
    pub(crate) fn calls(&self) -> Option<&CallLimiter> {
        self.0.calls.as_ref()
    }

    /// The way into the audit log for what is refused.
    pub(crate) fn denials(&self) -> &Denials {
        &self.0.denials
    }

    /// A place to look whose something is; absent = too many look already.
    pub(crate) fn crossing_place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.crossings).try_acquire_owned().ok()
    }

    /// Proxies in front of the API.
    pub(crate) fn trusted_proxies(&self) -> Arc<[Network]> {
        Arc::clone(&self.0.trusted_proxies)
    }

    /// Waits for news from now on.
    pub(crate) fn watch(&self, subject: Subject) -> NewsWatch {
        self.0.news.watch(subject)
    }

    /// The event streams that are open.
    pub(crate) fn streams(&self) -> &Streams {
        &self.0.streams
    }

    /// The kinds that exist on this server.
    pub(crate) fn kinds(&self) -> impl Iterator<Item = &'static KindSpec> {
        let probe_jobs = self.0.probe_jobs;
        KINDS.iter().filter(move |kind| probe_jobs || !kind.probe)
    }
}

impl std::fmt::Debug for ApiState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiState")
            .field("probe_jobs", &self.0.probe_jobs)
            .finish_non_exhaustive()
    }
}
