//! Requests that are answered when something has happened, or when their wait is over.
//!
//! One holds no connection to the database while it waits, and does not outlive its caller's key: that
//! is looked up again every second.

use std::time::Duration;

use axum::http::HeaderMap;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    auth::{Caller, Credentials},
    error::ApiError,
    news::{NewsWatch, Subject},
    serve::Closing,
    state::ApiState,
};

/// Longest wait of a request, in seconds.
pub const LONGEST_SECONDS: u64 = 30;
/// A message that there is news can be lost; then it is seen this much later. A revoked key ends a wait
/// within this and the second for which its owner is remembered.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// A wait for news.
#[derive(Debug)]
pub struct LongPoll {
    credentials: Credentials,
    news: NewsWatch,
    closing: CancellationToken,
    end: Instant,
    check_at: Instant,
}

/// The wait that was asked for; refused if it is too long.
pub fn read_wait(seconds: Option<u64>) -> Result<Duration, ApiError> {
    match seconds.unwrap_or(0) {
        seconds @ 0..=LONGEST_SECONDS => Ok(Duration::from_secs(seconds)),
        _ => Err(ApiError::Query(format!(
            "wait must be from 0 to {LONGEST_SECONDS}"
        ))),
    }
}

impl LongPoll {
    /// Begins to listen, so look after this. `headers` are those of the request that was let in as
    /// `caller`.
    pub fn begin(
        state: &ApiState,
        subject: Subject,
        headers: &HeaderMap,
        caller: &Caller,
        closing: Option<Closing>,
        wait: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            credentials: Credentials::of(headers, caller),
            news: state.watch(subject),
            closing: closing.map_or_else(CancellationToken::new, |Closing(token)| token),
            end: now + wait,
            check_at: now + LOOK_AGAIN,
        }
    }

    /// Returns when it makes sense to look again, and answers whether the wait is over: its time is up or
    /// the server begins to stop. Fails when the caller would not be let in any more.
    pub async fn is_over(&mut self, state: &ApiState) -> Result<bool, ApiError> {
        if Instant::now() >= self.end {
            return Ok(true);
        }
        let is_over = tokio::select! {
            () = sleep_until(self.end) => true,
            () = self.closing.cancelled() => true,
            _ = timeout(LOOK_AGAIN, self.news.changed()) => false,
        };
        if Instant::now() >= self.check_at {
            self.credentials.check(state).await?;
            self.check_at = Instant::now() + LOOK_AGAIN;
        }
        Ok(is_over)
    }
}
