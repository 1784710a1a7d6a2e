//! API, workers and scheduler in this process, and their end in order.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context as _, Error, Result, anyhow};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;
use unity_api::{ApiState, ops, router, serve};
use unity_scheduler::Scheduler;
use unity_shared::{
    config::{Secret, Settings},
    ids::TenantId,
    tenancy::{ApiKey, Role, find_key_owner},
};
use unity_worker::Worker;

use super::{
    backing::Backing,
    folder::{DevRecord, Folder},
};
use crate::{
    args::DevFlags,
    commands::create_key,
    commands::{scheduler_context, worker_mailer, worker_options, worker_services},
    process::{Connections, api_options, bind, cluster_from, serve_ops},
};

/// The running stack.
pub(super) struct Stack {
    backing: Backing,
    connections: Connections,
    parts: JoinSet<(&'static str, Result<()>)>,
    tokens: Tokens,
    record: DevRecord,
}

/// One for each step of the stop.
#[derive(Default)]
struct Tokens {
    api: CancellationToken,
    worker: CancellationToken,
    scheduler: CancellationToken,
    ops: CancellationToken,
}

static STANDING: AtomicBool = AtomicBool::new(false);

/// Whether the stack has been started and not yet stopped.
pub(super) fn is_standing() -> bool {
    STANDING.load(Ordering::SeqCst)
}

/// Whom mails of a development stack are from.
const MAIL_FROM: &str = "Unity <unity@localhost>";
/// A development stack does not keep its owner waiting on Ctrl-C.
const DRAIN: Duration = Duration::from_secs(5);

impl Stack {
    /// Starts everything. On an error everything that was started stops again.
    pub(super) async fn start(
        settings: &Settings,
        flags: &DevFlags,
        folder: &Folder,
    ) -> Result<Self> {
        let mut settings = settings.clone();
        settings
            .secret_key
            .get_or_insert_with(|| Secret::new(folder.secret_key()));
        if settings.smtp_url.is_none() {
            settings.mail_folder.get_or_insert_with(|| folder.mail());
        }
        settings
            .mail_from
            .get_or_insert_with(|| MAIL_FROM.to_owned());
        let backing = Backing::start(&mut settings, flags, folder).await?;
        match Self::start_parts(settings, flags, folder).await {
            Ok((connections, parts, tokens, record)) => {
                STANDING.store(true, Ordering::SeqCst);
                Ok(Self {
                    backing,
                    connections,
                    parts,
                    tokens,
                    record,
                })
            }
            Err(error) => {
                backing.stop().await;
                Err(error)
            }
        }
    }

    async fn start_parts(
        mut settings: Settings,
        flags: &DevFlags,
        folder: &Folder,
    ) -> Result<(
        Connections,
        JoinSet<(&'static str, Result<()>)>,
        Tokens,
        DevRecord,
    )> {
        let metrics = ops::install_recorder();
        let connections = Connections::open(&settings).await?;
        let listener = listen(flags.listen, &settings).await?;
        let api_url = format!("http://{}", listener.local_addr()?);
        settings.public_url.get_or_insert_with(|| api_url.clone());
        folder.write_settings(&settings)?;
        let ops_listener = bind("the ops port", flags.ops_listen).await?;
        let kubeconfig = settings
            .kubeconfig
            .clone()
            .context("no cluster was started")?;
        let cluster = cluster_from(&kubeconfig, settings.kube_context.as_deref()).await?;
        let record = DevRecord {
            api_url,
            ops_url: format!("http://{}", ops_listener.local_addr()?),
            database_url: revealed(settings.database_url.as_ref()),
            owner_database_url: revealed(settings.owner_database_url.as_ref()),
            redis_url: revealed(settings.redis_url.as_ref()),
            kubeconfig,
            config: folder.settings_file(),
            mail_folder: settings.mail_folder.clone(),
            admin_api_key: admin_key(&connections, folder).await?,
            demo: folder.last_record().and_then(|last| last.demo),
        };

        let mailer = worker_mailer(&settings)?;
        let (mut parts, tokens) = (JoinSet::new(), Tokens::default());
        let readiness = connections.readiness();
        let token = tokens.ops.clone();
        parts.spawn(async {
            (
                "ops port",
                serve_ops(ops_listener, readiness, metrics, token).await,
            )
        });
        spawn_api(
            &mut parts,
            &connections,
            &settings,
            listener,
            tokens.api.clone(),
        )?;
        for _ in 0..flags.workers {
            let services = worker_services(connections.clone(), cluster.clone(), mailer.clone());
            let mut options = worker_options(&settings)?;
            options.drain = DRAIN;
            let (worker, token) = (Worker::new(services, options), tokens.worker.clone());
            parts.spawn(async { ("worker", worker.run(token).await.map_err(Error::from)) });
        }
        let scheduler = Scheduler::new(scheduler_context(connections.clone(), &settings));
        let token = tokens.scheduler.clone();
        parts.spawn(async { ("scheduler", scheduler.run(token).await.map_err(Error::from)) });
        Ok((connections, parts, tokens, record))
    }

    pub(super) fn connections(&self) -> Connections {
        self.connections.clone()
    }

    pub(super) fn record(&self) -> DevRecord {
        self.record.clone()
    }

    /// Waits for a part to end although nobody asked it to, and says which.
    pub(super) async fn failed(&mut self) -> Error {
        loop {
            tokio::select! {
                Some(ended) = self.parts.join_next() => return match ended {
                    Ok((name, Ok(()))) => anyhow!("the {name} ended by itself"),
                    Ok((name, Err(error))) => error.context(format!("the {name} failed")),
                    Err(error) => Error::from(error).context("a part of the stack panicked"),
                },
                () = tokio::time::sleep(Duration::from_secs(1)) => {
                    if let Some(name) = self.backing.ended_server() {
                        return anyhow!("{name} has ended; its log is in the data folder");
                    }
                }
            }
        }
    }

    /// Stops everything: no new requests, then no new jobs, then the loops, then the servers.
    pub(super) async fn stop(mut self) {
        for token in [
            &self.tokens.api,
            &self.tokens.worker,
            &self.tokens.scheduler,
            &self.tokens.ops,
        ] {
            token.cancel();
        }
        while let Some(ended) = self.parts.join_next().await {
            match ended {
                Ok((_, Ok(()))) => {}
                Ok((name, Err(error))) => tracing::warn!("{name} stopped with an error: {error:#}"),
                Err(error) => tracing::error!(%error, "a part of the stack panicked"),
            }
        }
        self.connections.database.close().await;
        self.backing.stop().await;
        STANDING.store(false, Ordering::SeqCst);
    }
}

fn spawn_api(
    parts: &mut JoinSet<(&'static str, Result<()>)>,
    connections: &Connections,
    settings: &Settings,
    listener: TcpListener,
    token: CancellationToken,
) -> Result<()> {
    let options = api_options(settings)?;
    let Connections {
        database,
        gate,
        clock,
    } = connections.clone();
    let state = ApiState::new(database, gate, clock, &options);
    let router = router(state.clone());
    parts.spawn(async move {
        let served = serve(listener, router, token, DRAIN).await;
        state.finish().await;
        ("API", served.map_err(Error::from))
    });
    Ok(())
}

/// The address that was asked for, or the default one, or a free port where that is taken.
async fn listen(flag: Option<SocketAddr>, settings: &Settings) -> Result<TcpListener> {
    if let Some(address) = flag {
        return bind("the API", address).await;
    }
    match TcpListener::bind(settings.listen).await {
        Ok(listener) => Ok(listener),
        Err(_) if settings.listen == Settings::default().listen => {
            bind("the API", ([127, 0, 0, 1], 0).into()).await
        }
        Err(_) => bind("the API", settings.listen).await,
    }
}

/// The administrator's key of the last start if it still works, else a new one.
async fn admin_key(connections: &Connections, folder: &Folder) -> Result<String> {
    let last = folder
        .last_record()
        .and_then(|last| ApiKey::parse(&last.admin_api_key).ok());
    if let Some(key) = last {
        let mut tx = connections.database.authenticator().statement().await?;
        let owner = find_key_owner(&mut tx, &key, connections.clock.now()).await?;
        if owner.is_some_and(|owner| owner.role == Role::SystemAdmin) {
            return Ok(key.reveal().to_owned());
        }
    }
    let none: Option<&TenantId> = None;
    let Connections {
        database, clock, ..
    } = connections;
    let key = create_key(database, clock, none, Role::SystemAdmin, "unity dev").await?;
    Ok(key.reveal().to_owned())
}

fn revealed(secret: Option<&Secret>) -> String {
    secret
        .map(|secret| secret.reveal().to_owned())
        .unwrap_or_default()
}
