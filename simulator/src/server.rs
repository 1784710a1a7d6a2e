//! The running server: listens, answers, saves its state, stops.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, Utc};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::cluster::Cluster;
use crate::metadata::Environment;
use crate::request_log::RequestLog;
use crate::{discovery, http, namespace, persist, seed};

/// Changes are collected for so long before the state file is written.
const SAVE_DELAY: Duration = Duration::from_millis(200);
/// Connections that a client keeps open are cut after this when the server stops.
const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(3);

/// How a simulator is to run.
#[derive(Clone)]
pub struct SimulatorConfig {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where objects survive a restart; `None` keeps them in memory only.
    pub state_file: Option<PathBuf>,
    /// The administrator's bearer token; `None` makes a random one. It also seals service account
    /// tokens, so those outlive a restart only with a fixed one. Letters, digits, `-`, `.`, `_`.
    pub token: Option<String>,
}

impl Default for SimulatorConfig {
    /// A free port on loopback, in memory, with a random token.
    fn default() -> Self {
        let listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Self {
            listen,
            state_file: None,
            token: None,
        }
    }
}

impl fmt::Debug for SimulatorConfig {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SimulatorConfig")
            .field("listen", &self.listen)
            .field("state_file", &self.state_file)
            .finish_non_exhaustive()
    }
}

/// What keeps a simulator from starting.
#[derive(Debug, thiserror::Error)]
pub enum SimulatorError {
    /// The address cannot be listened on.
    #[error("could not listen on {listen}")]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The state file cannot be read, or is no state file.
    #[error("could not read state file {}", path.display())]
    ReadState {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token holds characters that cannot stand in an address.
    #[error("the token may hold only letters, digits, '-', '.' and '_'")]
    Token,
    /// The initial objects cannot be created.
    #[error("could not furnish the cluster")]
    Seed(#[source] Box<dyn Error + Send + Sync>),
}

/// What all requests share.
pub struct App {
    cluster: Mutex<Cluster>,
    environment: Environment,
    revision: watch::Sender<u64>,
    token: String,
    log: RequestLog,
    stop: CancellationToken,
}

impl App {
    /// Reads the cluster.
    pub fn read<T>(&self, action: impl FnOnce(&Cluster) -> T) -> T {
        action(&self.cluster.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes the cluster and wakes the watches when something changed.
    pub fn write<T>(&self, action: impl FnOnce(&mut Cluster) -> T) -> T {
        let mut cluster = self.cluster.lock().unwrap_or_else(PoisonError::into_inner);
        let result = action(&mut cluster);
        let revision = cluster.store.revision();
        drop(cluster);
        self.revision.send_if_modified(|seen| {
            let is_new = *seen < revision;
            *seen = revision.max(*seen);
            is_new
        });
        result
    }

    /// The present instant.
    pub fn now(&self) -> DateTime<Utc> {
        (self.environment.now)()
    }

    /// The latest revision, as it advances.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.revision.subscribe()
    }

    /// Fires when the server stops.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// The administrator's token.
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The log of requests.
    pub fn log(&self) -> &RequestLog {
        &self.log
    }
}

/// A running simulator. Dropping it stops it without a last save; [`Simulator::shutdown`] saves.
pub struct Simulator {
    app: Arc<App>,
    addr: SocketAddr,
    state_file: Option<PathBuf>,
    server: JoinHandle<()>,
    saver: JoinHandle<()>,
    _stop_on_drop: DropGuard,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulator")
            .field("addr", &self.addr)
            .finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts a server; it answers as soon as this returns.
    pub async fn start(config: SimulatorConfig) -> Result<Self, SimulatorError> {
        let app = Arc::new(app(&config)?);
        let listen = config.listen;
        let refused = |source| SimulatorError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let addr = listener.local_addr().map_err(refused)?;
        tracing::info!(%addr, resources = discovery::count(), "simulated API server listens");
        let server = tokio::spawn(serve(Arc::clone(&app), listener));
        let saver = tokio::spawn(keep_saved(Arc::clone(&app), config.state_file.clone()));
        let stop_on_drop = app.stop.clone().drop_guard();
        Ok(Self {
            app,
            addr,
            state_file: config.state_file,
            server,
            saver,
            _stop_on_drop: stop_on_drop,
        })
    }

    /// `http://` and the address. Requests there need the bearer token; see
    /// [`Simulator::kubeconfig`] for an address that carries it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A kubeconfig with one context, `unity-simulator`, for the administrator.
    ///
    /// The token stands twice in it: as the user's token, and as the password of the server's
    /// address, because `kubectl` sends no token over plain HTTP. Treat the address as a secret.
    #[must_use]
    pub fn kubeconfig(&self) -> String {
        let (addr, token) = (self.addr, self.app.token());
        format!(
            "apiVersion: v1\n\
             kind: Config\n\
             clusters:\n\
             - name: unity-simulator\n\
             \x20 cluster:\n\
             \x20   server: http://admin:{token}@{addr}\n\
             users:\n\
             - name: unity-simulator\n\
             \x20 user:\n\
             \x20   token: {token}\n\
             contexts:\n\
             - name: unity-simulator\n\
             \x20 context:\n\
             \x20   cluster: unity-simulator\n\
             \x20   user: unity-simulator\n\
             current-context: unity-simulator\n"
        )
    }

    /// What has been asked of the server since it started.
    #[must_use]
    pub fn requests(&self) -> RequestLog {
        self.app.log().clone()
    }

    /// Ends all watches, waits for running requests (3 s at most), and saves the state.
    pub async fn shutdown(self) {
        let Self {
            app,
            state_file,
            mut server,
            saver,
            ..
        } = self;
        app.stop.cancel();
        if tokio::time::timeout(SHUTDOWN_PATIENCE, &mut server)
            .await
            .is_err()
        {
            server.abort();
        }
        let _ = saver.await;
        if let Some(path) = state_file {
            save(&app, path).await;
        }
    }
}

fn app(config: &SimulatorConfig) -> Result<App, SimulatorError> {
    let environment = Environment::default();
    let mut cluster = Cluster {
        environment,
        ..Cluster::default()
    };
    if let Some(path) = &config.state_file {
        cluster.store = persist::load(path).map_err(|source| SimulatorError::ReadState {
            path: path.clone(),
            source,
        })?;
    }
    seed::plant(&mut cluster).map_err(|error| SimulatorError::Seed(Box::new(error)))?;
    namespace::settle_all(&mut cluster);
    let token = config.token.clone().unwrap_or_else(random_token);
    let is_sound = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
    if token.is_empty() || !token.chars().all(is_sound) {
        return Err(SimulatorError::Token);
    }
    Ok(App {
        revision: watch::Sender::new(cluster.store.revision()),
        cluster: Mutex::new(cluster),
        environment,
        token,
        log: RequestLog::default(),
        stop: CancellationToken::new(),
    })
}

fn random_token() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

async fn serve(app: Arc<App>, listener: TcpListener) {
    let stop = app.stopping();
    let router = Router::new().fallback(http::serve).with_state(app);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = served.await {
        tracing::error!(%error, "simulated API server stopped");
    }
}

/// Writes the state file a moment after each change, until the server stops.
async fn keep_saved(app: Arc<App>, state_file: Option<PathBuf>) {
    let Some(path) = state_file else {
        app.stop.cancelled().await;
        return;
    };
    let mut revisions = app.revisions();
    // What the start itself created is worth saving too.
    revisions.mark_changed();
    loop {
        tokio::select! {
            () = app.stop.cancelled() => return,
            changed = revisions.changed() => if changed.is_err() { return },
        }
        tokio::select! {
            () = app.stop.cancelled() => return,
            () = tokio::time::sleep(SAVE_DELAY) => {}
        }
        revisions.borrow_and_update();
        save(&app, path.clone()).await;
    }
}

async fn save(app: &App, path: PathBuf) {
    let snapshot = app.read(|cluster| persist::snapshot(&cluster.store));
    let written = tokio::task::spawn_blocking(move || {
        if let Err(error) = persist::save(&snapshot, &path) {
            tracing::error!(%error, path = %path.display(), "could not save the state");
        }
    });
    if let Err(error) = written.await {
        tracing::error!(%error, "saving the state was cut short");
    }
}
