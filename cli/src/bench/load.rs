//! The load: many clients that each wait for their answer before they ask again, on a thread of their
//! own, so that neither their scheduling nor their memory meets anybody else's.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, anyhow, ensure};
use tokio::task::JoinSet;

use super::http::{Connection, HttpError, Request};

/// What each client asks, over and over.
pub(super) struct Load {
    /// The API.
    pub(super) address: SocketAddr,
    /// One connection for each element, which sends its requests in turn.
    pub(super) clients: Vec<Vec<Request>>,
    /// The only status that counts; any other ends the measurement as failed.
    pub(super) expected: u16,
}

/// What came back.
pub(super) struct Tally {
    /// Answers that came in the measured time.
    pub(super) answers: usize,
    /// The measured time.
    pub(super) time: Duration,
    /// Of each answer, in ascending order.
    times: Vec<Duration>,
}

/// Connections are open and caches warm before the time is taken.
pub(super) const WARM_UP_SHARE: u32 = 10;

impl Load {
    /// Every client asks again and again for `time`, after a tenth of it as warm-up.
    pub(super) async fn keep_up(self, time: Duration) -> Result<Tally> {
        on_own_thread(move || self.run(Some(time))).await
    }

    /// Every client sends each of its requests once.
    pub(super) async fn send_once(self) -> Result<Tally> {
        on_own_thread(move || self.run(None)).await
    }

    async fn run(self, time: Option<Duration>) -> Result<Tally> {
        let Self {
            address,
            clients,
            expected,
        } = self;
        let mut connected = Vec::with_capacity(clients.len());
        for requests in clients {
            connected.push((Connection::open(address).await?, requests));
        }
        let start = Instant::now();
        let begin = time.map_or(start, |time| start + time / WARM_UP_SHARE);
        let end = time.map(|time| begin + time);
        let mut running = JoinSet::new();
        for (connection, requests) in connected {
            running.spawn(async move {
                match end {
                    Some(end) => ask_until(connection, &requests, expected, begin, end).await,
                    None => ask_once(connection, &requests, expected).await,
                }
            });
        }
        let mut times = Vec::new();
        while let Some(ended) = running.join_next().await {
            times.extend(ended.context("a client of the load panicked")??);
        }
        let time = time.unwrap_or_else(|| begin.elapsed());
        ensure!(!times.is_empty(), "no answer came within {time:?}");
        times.sort_unstable();
        Ok(Tally {
            answers: times.len(),
            time,
            times,
        })
    }
}

async fn ask_until(
    mut connection: Connection,
    requests: &[Request],
    expected: u16,
    begin: Instant,
    end: Instant,
) -> Result<Vec<Duration>, HttpError> {
    let mut times = Vec::new();
    for request in requests.iter().cycle() {
        let asked = Instant::now();
        connection.ask(request).await?.expect(expected)?;
        let answered = Instant::now();
        if answered >= end {
            break;
        }
        if answered >= begin {
            times.push(answered - asked);
        }
    }
    Ok(times)
}

async fn ask_once(
    mut connection: Connection,
    requests: &[Request],
    expected: u16,
) -> Result<Vec<Duration>, HttpError> {
    let mut times = Vec::with_capacity(requests.len());
    for request in requests {
        let asked = Instant::now();
        connection.ask(request).await?.expect(expected)?;
        times.push(asked.elapsed());
    }
    Ok(times)
}

impl Tally {
    /// Answers a second.
    #[expect(clippy::cast_precision_loss, reason = "a count of answers")]
    pub(super) fn rate(&self) -> f64 {
        self.answers as f64 / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// The time within which this share of the answers came, in milliseconds.
    pub(super) fn percentile(&self, share: f64) -> f64 {
        let times: Vec<f64> = self
            .times
            .iter()
            .map(|time| time.as_secs_f64() * 1000.0)
            .collect();
        percentile(&times, share)
    }
}

/// The value at this share of a list in ascending order; 0 of an empty one.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a position in a list"
)]
pub(super) fn percentile(ascending: &[f64], share: f64) -> f64 {
    let last = ascending.len().saturating_sub(1);
    let at = (last as f64 * share).round() as usize;
    ascending.get(at.min(last)).copied().unwrap_or(0.0)
}

/// Runs `work` on a thread with a runtime of one thread, which costs the least: nothing is stolen and
/// nobody is woken on another core.
pub(super) async fn on_own_thread<T, F, Fut>(work: F) -> Result<T>
where
    T: Send + 'static,
    F: FnOnce() -> Fut + Send + 'static,
    Fut: Future<Output = Result<T>>,
{
    let joined = tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .context("could not start the load's runtime")?
            .block_on(work())
    });
    joined
        .await
        .map_err(|error| anyhow!("the load ended by itself: {error}"))?
}

/// Deals requests out to at most `clients` clients.
pub(super) fn deal(requests: Vec<Request>, clients: usize) -> Vec<Vec<Request>> {
    let mut dealt: Vec<Vec<Request>> = vec![Vec::new(); clients.min(requests.len()).max(1)];
    let count = dealt.len();
    for (index, request) in requests.into_iter().enumerate() {
        if let Some(hand) = dealt.get_mut(index % count) {
            hand.push(request);
        }
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert!((percentile(&values, 0.5) - 50.0).abs() < f64::EPSILON);
        assert!((percentile(&values, 0.99) - 99.0).abs() < f64::EPSILON);
        assert!((percentile(&[7.0], 0.99) - 7.0).abs() < f64::EPSILON);
        assert!(percentile(&[], 0.5).abs() < f64::EPSILON);
    }

    #[test]
    fn every_request_is_dealt_to_one_client() {
        let requests = vec![Request::get("/", ""); 5];
        let sizes: Vec<usize> = deal(requests, 2).iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 2]);
    }
}
