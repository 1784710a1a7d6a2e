//! HTTP: a route that does nothing, behind the API's own listener and asked by the same load.

use std::time::Duration;

use anyhow::Result;
use unity_api::{bare_route, serve};

use super::ROUTE;
use crate::bench::{
    figure::{Reading, Unit},
    http::Request,
    load::Load,
    served::{DRAIN, Served},
};

const CONNECTIONS: usize = 64;

pub(super) async fn run(time: Duration) -> Result<Vec<Reading>> {
    let route = Served::start(|at, shutdown| serve(at, bare_route(), shutdown, DRAIN)).await?;
    let load = Load {
        address: route.address,
        clients: vec![vec![Request::get("/", "")]; CONNECTIONS],
        expected: 200,
    };
    let tally = load.keep_up(time).await;
    route.end().await?;
    let tally = tally?;
    Ok(vec![
        Reading::new(ROUTE, tally.rate(), Unit::RequestsPerSecond)
            .with("connections", CONNECTIONS)
            .with("seconds", time.as_secs_f64()),
    ])
}
