//! What every process of Unity does alike: connect, say so if it cannot, answer its operators, stop
//! on a signal.

use std::{net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use tokio_util::sync::CancellationToken;
use unity_api::{
    AddressLimit, ApiOptions,
    ops::{self, Readiness},
};
use unity_kubernetes::ClusterClient;
use unity_shared::{
    clock::Clock,
    config::Settings,
    db::{Database, DatabaseUrls, PoolSettings},
    queue::{Gate, GateSettings, ShardId},
    telemetry::chain,
};

/// The record, the queue and the time, connected.
#[derive(Debug, Clone)]
pub struct Connections {
    /// PostgreSQL.
    pub database: Database,
    /// Redis.
    pub gate: Gate,
    /// The database's time.
    pub clock: Clock,
}

/// How long a process may take to connect before it gives up.
const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How often the clock is set by the database's.
const CLOCK_INTERVAL: Duration = Duration::from_mins(1);

impl Connections {
    /// Connects to both servers, or says which one does not answer and where it was looked for.
    pub async fn open(settings: &Settings) -> Result<Self> {
        let clock = Clock::system();
        let database = open_database(settings).await?;
        database
            .align_clock(&clock)
            .await
            .context("could not read the database's clock")?;
        tokio::spawn(follow_clock(database.clone(), clock.clone()));
        let gate = open_gate(settings, clock.clone()).await?;
        Ok(Self {
            database,
            gate,
            clock,
        })
    }

    /// What `/readyz` asks.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let (database, gate) = (self.database.clone(), self.gate.clone());
        Readiness::new(vec![
            (
                "postgresql",
                Box::new(move || {
                    let database = database.clone();
                    Box::pin(async move { database.ping().await.map_err(|error| chain(&error)) })
                }),
            ),
            (
                "redis",
                Box::new(move || {
                    let gate = gate.clone();
                    Box::pin(async move { gate.ping().await.map_err(|error| chain(&error)) })
                }),
            ),
        ])
    }
}

/// Keeps the time with the database's for as long as the process lives: the gate believes what each
/// caller takes for now.
async fn follow_clock(database: Database, clock: Clock) {
    loop {
        tokio::time::sleep(CLOCK_INTERVAL).await;
        if let Err(error) = database.align_clock(&clock).await {
            tracing::debug!(error = chain(&error), "could not read the database's clock");
        }
    }
}

/// The record alone, or where it was looked for in vain.
pub async fn open_database(settings: &Settings) -> Result<Database> {
    let app = Settings::require("database_url", settings.database_url.as_ref())?;
    let platform = Settings::require(
        "platform_database_url",
        settings.platform_database_url.as_ref(),
    )?;
    let urls = DatabaseUrls {
        app: app.reveal().to_owned(),
        platform: platform.reveal().to_owned(),
    };
    let pools = PoolSettings {
        max_connections: settings.database_connections,
        ..PoolSettings::default()
    };
    let opening = tokio::time::timeout(CONNECT_TIME, Database::connect(&urls, pools));
    opening
        .await
        .context("no answer in time")
        .and_then(|opened| opened.map_err(anyhow::Error::from))
        .with_context(|| {
            format!(
                "could not connect to PostgreSQL at {} (is it running, and is UNITY_DATABASE_URL right?)",
                app.masked()
            )
        })
}

async fn open_gate(settings: &Settings, clock: Clock) -> Result<Gate> {
    let url = Settings::require("redis_url", settings.redis_url.as_ref())?;
    let gate = GateSettings {
        prefix: settings.redis_prefix.clone(),
        shard: ShardId::FIRST,
        lease: settings.lease(),
    };
    let opening = tokio::time::timeout(CONNECT_TIME, Gate::connect(url.reveal(), gate, clock));
    opening
        .await
        .context("no answer in time")
        .and_then(|opened| opened.map_err(anyhow::Error::from))
        .with_context(|| {
            format!(
                "could not connect to Redis at {} (is it running, and is UNITY_REDIS_URL right?)",
                url.masked()
            )
        })
}

/// The cluster that the settings name: a kubeconfig file, or the pod's own service account. The
/// user's own current context is never used.
pub async fn open_cluster(settings: &Settings) -> Result<ClusterClient> {
    match &settings.kubeconfig {
        Some(path) => cluster_from(path, settings.kube_context.as_deref()).await,
        None => ClusterClient::in_cluster().await.context(
            "no cluster to work on: set UNITY_KUBECONFIG, or run in a pod with a service account",
        ),
    }
}

/// The cluster of a kubeconfig file.
pub async fn cluster_from(path: &Path, context: Option<&str>) -> Result<ClusterClient> {
    ClusterClient::from_kubeconfig(path, context)
        .await
        .with_context(|| format!("could not use the kubeconfig {}", path.display()))
}

/// The API's own settings.
pub fn api_options(settings: &Settings) -> Result<ApiOptions> {
    let secret_key = Settings::require("secret_key", settings.secret_key.as_ref())?;
    if !settings.rate_limits {
        tracing::warn!("calls are not limited (rate_limits is off)");
    }
    Ok(ApiOptions {
        probe_jobs: settings.probe_jobs,
        secret_key: secret_key.clone(),
        rate_limits: settings.rate_limits,
        address_limit: AddressLimit {
            per_second: settings.address_requests_per_second,
            burst: settings.address_requests_burst,
        },
        trusted_proxies: settings.trusted_proxies.clone(),
        tenant_grace: settings.tenant_grace(),
        public_url: settings.public_url.clone(),
        loopback_providers: settings.loopback_providers,
    })
}

/// Binds a listener, or says which address is taken.
pub async fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("could not listen on {address} for {name} (is it taken?)"))
}

/// Serves `/healthz`, `/readyz` and `/metrics` until `shutdown`.
pub async fn serve_ops(
    listener: TcpListener,
    readiness: Readiness,
    metrics: PrometheusHandle,
    shutdown: CancellationToken,
) -> Result<()> {
    ops::serve(listener, readiness, metrics, shutdown)
        .await
        .context("the ops port stopped answering")
}

/// A token that fires on Ctrl-C or SIGTERM.
pub fn shutdown_signal() -> Result<CancellationToken> {
    let token = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt()).context("could not listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("could not listen for SIGTERM")?;
    let fired = token.clone();
    tokio::spawn(async move {
        tokio::select! { _ = interrupt.recv() => {} _ = terminate.recv() => {} }
        fired.cancel();
    });
    Ok(token)
}

/// The host's name, as the list of workers shows it.
#[must_use]
pub fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "unknown".to_owned())
}
