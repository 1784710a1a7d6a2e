//! `unity api`: the HTTP API as a process of its own.

use std::time::Duration;

use anyhow::Result;
use unity_api::{ApiState, ops, router, serve};
use unity_shared::config::Settings;

use crate::process::{Connections, api_options, bind, serve_ops, shutdown_signal};

pub(super) async fn run(settings: Settings) -> Result<()> {
    let shutdown = shutdown_signal()?;
    let metrics = ops::install_recorder();
    let options = api_options(&settings)?;
    let connections = Connections::open(&settings).await?;
    let listener = bind("the API", settings.listen).await?;
    let ops_listener = bind("the ops port", settings.ops_listen).await?;
    tracing::info!(
        api = %listener.local_addr()?, ops = %ops_listener.local_addr()?, "API listening"
    );
    let readiness = connections.readiness();
    let Connections {
        database,
        gate,
        clock,
    } = connections;
    let state = ApiState::new(database, gate, clock, &options);
    let router = router(state.clone());
    let drain = Duration::from_secs(settings.drain_seconds);
    tokio::try_join!(
        async {
            let served = serve(listener, router, shutdown.clone(), drain).await;
            state.finish().await;
            Ok(served?)
        },
        serve_ops(ops_listener, readiness, metrics, shutdown.clone()),
    )?;
    Ok(())
}
