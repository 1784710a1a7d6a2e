//! `unity scheduler`: the loops as a process of its own.

use anyhow::Result;
use unity_api::ops;
use unity_scheduler::{Context, Cursors, Scheduler};
use unity_shared::config::Settings;

use crate::process::{Connections, bind, serve_ops, shutdown_signal};

pub(super) async fn run(settings: Settings) -> Result<()> {
    let shutdown = shutdown_signal()?;
    let metrics = ops::install_recorder();
    let connections = Connections::open(&settings).await?;
    let ops_listener = bind("the ops port", settings.ops_listen).await?;
    tracing::info!(ops = %ops_listener.local_addr()?, "scheduler answering operators");
    let readiness = connections.readiness();
    let scheduler = Scheduler::new(context(connections, &settings));
    tokio::try_join!(
        async { Ok(scheduler.run(shutdown.clone()).await?) },
        serve_ops(ops_listener, readiness, metrics, shutdown.clone()),
    )?;
    Ok(())
}

/// What the loops work with.
pub(crate) fn context(connections: Connections, settings: &Settings) -> Context {
    let Connections {
        database,
        gate,
        clock,
    } = connections;
    Context {
        database,
        gate,
        clock,
        lease: settings.lease(),
        cursors: Cursors::default(),
    }
}
