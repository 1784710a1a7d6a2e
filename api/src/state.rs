//! What every handler can reach.

use std::{sync::Arc, time::Duration};

use tokio::sync::Semaphore;
use unity_shared::{
    clock::Clock,
    config::{Network, Secret},
    db::Database,
    ids::TenantId,
    jobs::{KindSpec, kinds::KINDS},
    people::MailTokens,
    queue::Gate,
    sessions::SealingKey,
};

use crate::{
    audit::Denials,
    auth::{ActAsTokens, KeyOwners, KeyUses, Passwords, SessionOwners, SigningKeys},
    enqueue::{GroupCommit, ToldOrders, WaitingCaps, start_group_commit},
    error::ApiError,
    limits::{AddressLimit, Addresses, CallLimiter},
    look_up::{JobReads, start_job_reads},
    news::{News, NewsWatch, Subject},
    outbound::Outbound,
    page_token::PageTokens,
    resources::{CALLBACK, KnownProviders, SignIns},
    streams::Streams,
};

/// Settings of the API itself.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Whether jobs of kind `probe` may be started.
    pub probe_jobs: bool,
    /// Signs page tokens, makes the tokens in mails, and encrypts the keys that sign access tokens; the
    /// same for every process.
    pub secret_key: Secret,
    /// How long a deleted tenant can be restored.
    pub tenant_grace: Duration,
    /// The API's address as its users write it; absent = nobody signs in by an identity provider.
    pub public_url: Option<String>,
    /// Whether identity providers may be on this very machine, for development and tests.
    pub loopback_providers: bool,
    /// Whether calls are counted and limited; off only to measure what that costs.
    pub rate_limits: bool,
    /// Requests that an address may make of which nobody knows whose they are.
    pub address_limit: AddressLimit,
    /// Proxies in front of the API: what they say about where a request comes from is believed.
    pub trusted_proxies: Vec<Network>,
}

/// Refusals that are looked into at the same time, after they were answered.
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
    mail_tokens: MailTokens,
    key_owners: KeyOwners,
    act_as_tokens: ActAsTokens,
    key_uses: KeyUses,
    session_owners: SessionOwners,
    signing_keys: SigningKeys,
    passwords: Passwords,
    waiting_caps: WaitingCaps,
    group_commit: GroupCommit,
    told_orders: ToldOrders,
    job_reads: JobReads,
    addresses: Option<Arc<Addresses>>,
    calls: Option<CallLimiter>,
    denials: Denials,
    crossings: Arc<Semaphore>,
    trusted_proxies: Arc<[Network]>,
    probe_jobs: bool,
    tenant_grace: Duration,
    public_url: Option<String>,
    sign_ins: SignIns,
    known_providers: KnownProviders,
    outbound: Outbound,
    secret_key: Secret,
}

/// What secrets of tenants are encrypted for.
const SEALED_FOR: &str = "unity identity providers v1";

impl ApiState {
    /// Begins to listen for news of jobs. Call it inside a tokio runtime.
    #[must_use]
    pub fn new(database: Database, gate: Gate, clock: Clock, options: &ApiOptions) -> Self {
        let news = News::start(gate.listen_for_news());
        let page_tokens = PageTokens::new(&options.secret_key);
        let signing_keys = SigningKeys::new(database.clone(), clock.clone(), &options.secret_key);
        let probe_jobs = options.probe_jobs;
        let public_url = options.public_url.as_deref().unwrap_or_default();
        let is_tls = public_url.starts_with("https://");
        let told_orders = ToldOrders::start(database.clone(), clock.clone());
        Self(Arc::new(Inner {
            group_commit: start_group_commit(&database, &gate, &clock, &told_orders),
            told_orders,
            job_reads: start_job_reads(database.clone()),
            key_owners: KeyOwners::new(database.clone(), clock.clone()),
            act_as_tokens: ActAsTokens::new(database.clone(), clock.clone()),
            key_uses: KeyUses::start(database.clone(), clock.clone()),
            session_owners: SessionOwners::new(
                database.clone(),
                clock.clone(),
                signing_keys.clone(),
            ),
            signing_keys,
            passwords: Passwords::default(),
            waiting_caps: WaitingCaps::default(),
            addresses: options
                .rate_limits
                .then(|| Arc::new(Addresses::new(options.address_limit))),
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
            mail_tokens: MailTokens::new(&options.secret_key),
            probe_jobs,
            tenant_grace: options.tenant_grace,
            sign_ins: SignIns::new(&options.secret_key, is_tls),
            known_providers: KnownProviders::new(),
            public_url: options.public_url.clone(),
            outbound: Outbound::new(options.loopback_providers),
            secret_key: options.secret_key.clone(),
        }))
    }

    pub(crate) fn database(&self) -> &Database {
        &self.0.database
    }

    /// Calls what tenants have named.
    pub(crate) fn outbound(&self) -> &Outbound {
        &self.0.outbound
    }

    pub(crate) fn sign_ins(&self) -> &SignIns {
        &self.0.sign_ins
    }

    /// What tenants' identity providers said about themselves.
    pub(crate) fn known_providers(&self) -> &KnownProviders {
        &self.0.known_providers
    }

    /// Where identity providers send browsers back to; absent = the API's address is not known.
    pub(crate) fn redirect_uri(&self) -> Option<String> {
        let url = self.0.public_url.as_deref()?;
        Some(format!("{}{CALLBACK}", url.trim_end_matches('/')))
    }

    /// Encrypts a secret of this tenant.
    pub(crate) fn seal_for(&self, tenant: &TenantId, secret: &[u8]) -> Result<Vec<u8>, ApiError> {
        SealingKey::of(&self.0.secret_key, SEALED_FOR)
            .seal(secret, tenant.as_str().as_bytes())
            .map_err(|error| ApiError::Defect(error.to_string()))
    }

    /// The secret of this tenant that was encrypted.
    pub(crate) fn open_for(&self, tenant: &TenantId, sealed: &[u8]) -> Result<String, ApiError> {
        SealingKey::of(&self.0.secret_key, SEALED_FOR)
            .open(sealed, tenant.as_str().as_bytes())
            .and_then(|secret| String::from_utf8(secret).ok())
            .ok_or_else(|| {
                let problem = "a secret was encrypted under another secret_key: set it again";
                ApiError::Defect(format!("{tenant}: {problem}"))
            })
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

    pub(crate) fn mail_tokens(&self) -> &MailTokens {
        &self.0.mail_tokens
    }

    pub(crate) fn key_owners(&self) -> &KeyOwners {
        &self.0.key_owners
    }

    pub(crate) fn act_as_tokens(&self) -> &ActAsTokens {
        &self.0.act_as_tokens
    }

    pub(crate) fn key_uses(&self) -> &KeyUses {
        &self.0.key_uses
    }

    pub(crate) fn session_owners(&self) -> &SessionOwners {
        &self.0.session_owners
    }

    pub(crate) fn signing_keys(&self) -> &SigningKeys {
        &self.0.signing_keys
    }

    pub(crate) fn passwords(&self) -> &Passwords {
        &self.0.passwords
    }

    pub(crate) fn waiting_caps(&self) -> &WaitingCaps {
        &self.0.waiting_caps
    }

    pub(crate) fn group_commit(&self) -> &GroupCommit {
        &self.0.group_commit
    }

    /// The way into the audit log for jobs that were ordered.
    pub(crate) fn told_orders(&self) -> &ToldOrders {
        &self.0.told_orders
    }

    /// Before the process goes: whatever the audit log is still owed is told, for some seconds at most.
    pub async fn finish(&self) {
        self.0.told_orders.finish().await;
    }

    pub(crate) fn job_reads(&self) -> &JobReads {
        &self.0.job_reads
    }

    /// The limits of source addresses; absent = there are none.
    pub(crate) fn addresses(&self) -> Option<Arc<Addresses>> {
        self.0.addresses.clone()
    }

    /// Counts the calls of callers; absent = nobody does.
    pub(crate) fn calls(&self) -> Option<&CallLimiter> {
        self.0.calls.as_ref()
    }

    /// The way into the audit log for what is refused.
    pub(crate) fn denials(&self) -> &Denials {
        &self.0.denials
    }

    /// Looks into a refusal after it was answered, so that the time which that takes tells nothing. If
    /// too many are looked into already, it is lost.
    pub(crate) fn tell_later<T>(&self, telling: impl FnOnce(Self) -> T)
    where
        T: Future<Output = ()> + Send + 'static,
    {
        let Ok(place) = Arc::clone(&self.0.crossings).try_acquire_owned() else {
            metrics::counter!("unity_audit_denials_lost_total").increment(1);
            return;
        };
        let telling = telling(self.clone());
        tokio::spawn(async move {
            let _place = place;
            telling.await;
        });
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

    /// How long a deleted tenant can be restored.
    pub(crate) fn tenant_grace(&self) -> Duration {
        self.0.tenant_grace
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
