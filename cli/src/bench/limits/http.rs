//! HTTP: a route that does nothing, behind the API's own listener and asked by the same load.

use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use unity_api::{bare_route, serve};

use super::ROUTE;
use crate::bench::{
    figure::{Reading, Unit},
    http::Request,
    load::Load,
};

const CONNECTIONS: usize = 64;

pub(super) async fn run(time: Duration) -> Result<Vec<Reading>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let shutdown = CancellationToken::new();
    let serving = tokio::spawn(serve(listener, bare_route(), shutdown.clone(), time));
    let load = Load {
        address,
        clients: vec![vec![Request::get("/", "")]; CONNECTIONS],
        expected: 200,
    };
    let tally = load.keep_up(time).await;
    shutdown.cancel();
    serving.await?.context("the bare route stopped answering")?;
    let tally = tally?;
    Ok(vec![
        Reading::new(ROUTE, tally.rate(), Unit::RequestsPerSecond)
            .with("connections", CONNECTIONS)
            .with("seconds", time.as_secs_f64()),
    ])
}
