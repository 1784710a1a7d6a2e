//! What this machine gives by itself: no job queue on it can pass these figures, so ours are shown
//! beside them, taken in the same run.

mod http;
mod postgres;
mod scripts;

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::future::join_all;

use super::{
    Bench,
    figure::{Reading, Unit},
    load::percentile,
};

/// Single-row commits a second, 32 connections.
pub(super) const COMMITS: &str = "PostgreSQL, single-row commits, 32 connections";
/// Rows a second by multi-row inserts, 8 connections.
pub(super) const INSERTS: &str = "PostgreSQL, inserts of 1000 rows, 8 connections";
/// One durable commit.
pub(super) const COMMIT_TIME: &str = "PostgreSQL, a durable commit, p50";
/// Scripts a second, unpipelined, 32 connections.
pub(super) const SCRIPTS: &str = "Redis, EVALSHA, 32 connections";
/// A route that answers with a constant, 64 connections.
pub(super) const ROUTE: &str = "HTTP, a constant answer, 64 connections";
/// Ten jobs of 5 ms that run at once, with nobody else there.
pub(super) const ALONE: &str = "ten sleeps of 5 ms at once";

const SLEEPS: usize = 10;
const SLEEP: Duration = Duration::from_millis(5);

pub(super) async fn run(bench: &Bench) -> Result<Vec<Reading>> {
    let time = bench.sizes.load;
    let mut readings = postgres::run(&bench.ground, time).await?;
    readings.extend(scripts::run(&bench.ground, time).await?);
    readings.extend(http::run(time).await?);
    readings.push(alone().await);
    Ok(readings)
}

async fn alone() -> Reading {
    let begun = Instant::now();
    join_all((0..SLEEPS).map(|_| tokio::time::sleep(SLEEP))).await;
    Reading::new(ALONE, begun.elapsed().as_secs_f64(), Unit::Seconds)
}

/// How often something was done, and how long each time took.
struct Pace {
    times: Vec<f64>,
    seconds: f64,
}

impl Pace {
    /// Brings the times together that several connections took for `seconds`.
    fn of(times: Vec<Vec<Duration>>, taken: Duration) -> Self {
        let mut times: Vec<f64> = times
            .into_iter()
            .flatten()
            .map(|time| time.as_secs_f64() * 1000.0)
            .collect();
        times.sort_by(f64::total_cmp);
        Self {
            times,
            seconds: taken.as_secs_f64().max(f64::MIN_POSITIVE),
        }
    }

    /// Times a second, where each did `each` at once.
    #[expect(clippy::cast_precision_loss, reason = "a count")]
    fn rate(&self, each: usize) -> f64 {
        (self.times.len() * each) as f64 / self.seconds
    }

    /// In milliseconds.
    fn median(&self) -> f64 {
        percentile(&self.times, 0.5)
    }
}
