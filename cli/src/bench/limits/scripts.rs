//! Redis: a script that does nothing, call by call and a hundred calls at a time, and one round trip.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use futures::future::try_join_all;

use super::{Pace, SCRIPTS};
use crate::bench::{
    figure::{Reading, Unit},
    ground::Ground,
    load::on_own_thread,
    resp::{Redis, command},
};

const CONNECTIONS: usize = 32;
const DEPTH: usize = 100;
const SCRIPT: &str = "return 1";

pub(super) async fn run(ground: &Ground, time: Duration) -> Result<Vec<Reading>> {
    let url = ground.redis_url();
    let mut redis = Redis::connect(url).await?;
    let loaded = redis.call(&["SCRIPT", "LOAD", SCRIPT]).await?;
    let digest = loaded.to_text().context("Redis did not take the script")?;
    let call = command(&["EVALSHA", &digest, "0"]);
    let single = pace(url, CONNECTIONS, call.clone(), 1, time).await?;
    let deep = pace(url, CONNECTIONS, call.repeat(DEPTH), DEPTH, time).await?;
    let trip = pace(url, 1, command(&["PING"]), 1, time).await?;
    let readings = [
        Reading::new(SCRIPTS, single.rate(1), Unit::CallsPerSecond)
            .with("connections", CONNECTIONS),
        Reading::new(
            format!("Redis, EVALSHA, {CONNECTIONS} connections, {DEPTH} calls at a time"),
            deep.rate(DEPTH),
            Unit::CallsPerSecond,
        )
        .with("connections", CONNECTIONS)
        .with("pipelined", DEPTH),
        Reading::new(
            "Redis, a round trip, p50",
            trip.median(),
            Unit::Milliseconds,
        )
        .with("connections", 1),
    ];
    let described = readings.map(|reading| reading.with("seconds", time.as_secs_f64()));
    Ok(described.into())
}

/// Every connection sends `commands` and waits for their `count` answers, over and over.
async fn pace(
    url: &str,
    connections: usize,
    commands: Vec<u8>,
    count: usize,
    time: Duration,
) -> Result<Pace> {
    let url = url.to_owned();
    on_own_thread(move || async move {
        let opening = (0..connections).map(|_| Redis::connect(&url));
        let mut opened = try_join_all(opening).await?;
        let begun = Instant::now();
        let asking = opened.iter_mut().map(|redis| {
            let commands = &commands;
            async move {
                let mut times = Vec::new();
                while begun.elapsed() < time {
                    let asked = Instant::now();
                    redis.send(commands).await?;
                    for _ in 0..count {
                        redis.reply().await?;
                    }
                    times.push(asked.elapsed());
                }
                anyhow::Ok(times)
            }
        });
        let times = try_join_all(asking).await?;
        Ok(Pace::of(times, begun.elapsed()))
    })
    .await
}
