//! `unity worker`: one worker as a process of its own.

use std::time::Duration;

use anyhow::Result;
use unity_api::ops;
use unity_shared::config::Settings;
use unity_worker::{Assignment, MailSettings, Mailer, Worker, WorkerOptions, WorkerServices};

use crate::process::{Connections, bind, host_name, open_cluster, serve_ops, shutdown_signal};

pub(super) async fn run(settings: Settings) -> Result<()> {
    // Before anything is connected: what cannot be done is said at once.
    let options = options(&settings)?;
    let mailer = mailer(&settings)?;
    let shutdown = shutdown_signal()?;
    let metrics = ops::install_recorder();
    let connections = Connections::open(&settings).await?;
    let cluster = open_cluster(&settings).await?;
    let ops_listener = bind("the ops port", settings.ops_listen).await?;
    tracing::info!(ops = %ops_listener.local_addr()?, "worker answering operators");
    let readiness = connections.readiness();
    let worker = Worker::new(services(connections, cluster, mailer), options);
    // The ops port answers until the worker has drained, so that a probe does not cut the drain short.
    let ended = tokio_util::sync::CancellationToken::new();
    let work = async {
        let outcome = worker.run(shutdown).await;
        ended.cancel();
        Ok(outcome?)
    };
    tokio::try_join!(
        work,
        serve_ops(ops_listener, readiness, metrics, ended.clone())
    )?;
    Ok(())
}

/// What the worker's jobs work with.
pub(crate) fn services(
    connections: Connections,
    cluster: unity_kubernetes::ClusterClient,
    mailer: Mailer,
) -> WorkerServices {
    let Connections {
        database,
        gate,
        clock,
    } = connections;
    WorkerServices {
        database,
        gate,
        cluster,
        mailer,
        clock,
    }
}

/// How mails leave by these settings, or why they cannot.
pub(crate) fn mailer(settings: &Settings) -> Result<Mailer> {
    match MailSettings::of(settings)? {
        Some(mail) => Ok(Mailer::new(&mail)?),
        None => Ok(Mailer::off()),
    }
}

/// How the worker works, or what it was told that no worker can do.
pub(crate) fn options(settings: &Settings) -> Result<WorkerOptions> {
    let Settings {
        pool,
        queue,
        worker_kinds,
        ..
    } = settings;
    Ok(WorkerOptions {
        assignment: Assignment::of(pool, queue.as_deref(), worker_kinds)?,
        pool: pool.clone(),
        host: host_name(),
        concurrency: settings.concurrency,
        lease: settings.lease(),
        drain: Duration::from_secs(settings.drain_seconds),
    })
}
