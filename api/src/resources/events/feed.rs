//! When a stream looks for events, says that it lives, and ends.
//!
//! A stream is pulled: nothing is read before the reader's socket has taken what was read before, so
//! a slow reader holds one page of text and no connection to the database.

use std::{convert::Infallible, time::Duration};

use axum::body::{Body, Bytes};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use unity_shared::telemetry::chain;

use super::wire;
use crate::error::ApiError;

/// A message that there is news can be lost; then a stream sees it this much later.
const BEAT: Duration = Duration::from_secs(5);
/// Between two looks of a stream that has caught up. The first news is seen at once; what follows
/// closely is seen together.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is asked whether the caller would still be let in. With a second for which an answer
/// may be remembered, a stream outlives its key, or its tenant's suspension, by less than two.
const CHECK: Duration = Duration::from_millis(500);
/// Silence after which a stream says that it lives.
const SILENCE: Duration = Duration::from_secs(15);

/// Where a stream's text comes from.
pub trait Source: Send + 'static {
    /// Whether the caller would be let in again.
    fn is_admitted(&mut self) -> impl Future<Output = bool> + Send;
    /// What there is to say now.
    fn look(&mut self) -> impl Future<Output = Result<Look, ApiError>> + Send;
    /// Returns when a look may find something. A call that is given up forgets nothing.
    fn news(&mut self) -> impl Future<Output = ()> + Send;
}

/// What a look has found.
#[derive(Debug)]
pub struct Look {
    /// What to say; may be empty.
    pub text: String,
    /// When to look again.
    pub next: Next,
}

/// When a stream looks again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// There is more already.
    AtOnce,
    /// When there is news, or at the next beat.
    WithNews,
    /// That was all.
    Never,
}

/// A stream on its way to a reader.
#[derive(Debug)]
pub struct Feed<S> {
    source: S,
    closing: CancellationToken,
    has_begun: bool,
    is_over: bool,
    has_news: bool,
    looked_at: Instant,
    look_at: Instant,
    check_at: Instant,
    speak_at: Instant,
}

impl<S: Source> Feed<S> {
    /// A stream that ends at the latest when `closing` is cancelled. Its caller was just let in.
    pub fn new(source: S, closing: CancellationToken) -> Self {
        let now = Instant::now();
        Self {
            source,
            closing,
            has_begun: false,
            is_over: false,
            has_news: false,
            looked_at: now,
            look_at: now,
            check_at: now + CHECK,
            speak_at: now + SILENCE,
        }
    }

    /// The body of the answer.
    pub fn into_body(self) -> Body {
        let texts = futures::stream::unfold(self, |mut feed| async move {
            let text = feed.next().await?;
            Some((Ok::<_, Infallible>(Bytes::from(text)), feed))
        });
        Body::from_stream(texts)
    }

    /// The next piece of text; absent = the stream has ended.
    async fn next(&mut self) -> Option<String> {
        if !self.has_begun {
            self.has_begun = true;
            return Some(wire::RETRY.to_owned());
        }
        while !self.is_over && !self.closing.is_cancelled() {
            // The reader may have kept us waiting for long, so this comes before anything is said.
            if Instant::now() >= self.check_at {
                if !self.source.is_admitted().await {
                    tracing::debug!("event stream ended: its caller is not let in any more");
                    return None;
                }
                self.check_at = Instant::now() + CHECK;
            }
            let text = if Instant::now() >= self.look_at {
                self.look().await?
            } else {
                String::new()
            };
            if !text.is_empty() {
                self.speak_at = Instant::now() + SILENCE;
                return Some(text);
            }
            if Instant::now() >= self.speak_at {
                self.speak_at = Instant::now() + SILENCE;
                return Some(wire::KEEP_ALIVE.to_owned());
            }
            self.wait().await;
        }
        None
    }

    /// Looks; absent = it could not. Who reads comes again and misses nothing.
    async fn look(&mut self) -> Option<String> {
        self.has_news = false;
        let Look { text, next } = match self.source.look().await {
            Ok(look) => look,
            Err(error) => {
                tracing::warn!(error = chain(&error), "event stream broken off");
                return None;
            }
        };
        self.looked_at = Instant::now();
        match next {
            Next::AtOnce => self.look_at = self.looked_at,
            Next::WithNews => self.look_at = self.looked_at + BEAT,
            Next::Never => self.is_over = true,
        }
        Some(text)
    }

    async fn wait(&mut self) {
        if self.is_over {
            return;
        }
        let until = self.look_at.min(self.check_at).min(self.speak_at);
        tokio::select! {
            () = self.closing.cancelled() => {}
            () = sleep_until(until) => {}
            () = self.source.news(), if !self.has_news => {
                self.has_news = true;
                self.look_at = self.look_at.min(self.looked_at + PAUSE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use tokio::{sync::Notify, time::timeout};

    use super::*;

    /// A source in the test's hand.
    #[derive(Debug, Clone, Default)]
    struct Script(Arc<Inner>);

    #[derive(Debug, Default)]
    struct Inner {
        refused: AtomicBool,
        news: Notify,
        looks: AtomicUsize,
        /// Events that were not said yet.
        waiting: AtomicUsize,
        ended: AtomicBool,
    }

    impl Script {
        fn add(&self, events: usize) {
            self.0.waiting.fetch_add(events, Ordering::SeqCst);
        }

        fn looks(&self) -> usize {
            self.0.looks.load(Ordering::SeqCst)
        }

        fn feed(&self) -> (Feed<Self>, CancellationToken) {
            let closing = CancellationToken::new();
            (Feed::new(self.clone(), closing.clone()), closing)
        }
    }

    impl Source for Script {
        async fn is_admitted(&mut self) -> bool {
            !self.0.refused.load(Ordering::SeqCst)
        }

        async fn look(&mut self) -> Result<Look, ApiError> {
            self.0.looks.fetch_add(1, Ordering::SeqCst);
            let waiting = self.0.waiting.load(Ordering::SeqCst);
            let said = waiting.min(2);
            self.0.waiting.fetch_sub(said, Ordering::SeqCst);
            let next = if waiting > said {
                Next::AtOnce
            } else if self.0.ended.load(Ordering::SeqCst) {
                Next::Never
            } else {
                Next::WithNews
            };
            let text = "e".repeat(said);
            Ok(Look { text, next })
        }

        async fn news(&mut self) {
            self.0.news.notified().await;
        }
    }

    /// The next text and the seconds that it took, in whole tenths.
    async fn timed(feed: &mut Feed<Script>) -> (Option<String>, u128) {
        let asked = Instant::now();
        let text = feed.next().await;
        (text, asked.elapsed().as_millis() / 100)
    }

    /// What [`timed`] answers for a text.
    fn said(text: &str, tenths: u128) -> (Option<String>, u128) {
        (Some(text.to_owned()), tenths)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_says_every_15_seconds_that_it_lives() {
        let (mut feed, _closing) = Script::default().feed();
        assert_eq!(timed(&mut feed).await, said(wire::RETRY, 0));
        assert_eq!(timed(&mut feed).await, said(wire::KEEP_ALIVE, 150));
        assert_eq!(timed(&mut feed).await, said(wire::KEEP_ALIVE, 150));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_message_events_are_seen_at_the_next_beat() {
        let script = Script::default();
        let (mut feed, _closing) = script.feed();
        feed.next().await;
        let early = timeout(Duration::from_secs(1), feed.next()).await;
        assert!(early.is_err());
        script.add(1);
        assert_eq!(timed(&mut feed).await, said("e", 40));
    }

    #[tokio::test(start_paused = true)]
    async fn news_is_seen_at_once_and_what_follows_closely_together() {
        let script = Script::default();
        let (mut feed, _closing) = script.feed();
        feed.next().await;
        assert!(timeout(Duration::from_secs(1), feed.next()).await.is_err());
        script.add(1);
        script.0.news.notify_one();
        assert_eq!(timed(&mut feed).await, said("e", 0));
        let looks = script.looks();
        script.add(1);
        script.0.news.notify_one();
        assert_eq!(timed(&mut feed).await, said("e", 1));
        assert_eq!(script.looks(), looks + 1);
    }

    #[tokio::test(start_paused = true)]
    async fn more_than_a_page_is_read_only_as_fast_as_it_is_taken() {
        let script = Script::default();
        let (mut feed, _closing) = script.feed();
        script.add(5);
        feed.next().await;
        for (text, looks) in [("ee", 1), ("ee", 2), ("e", 3)] {
            assert_eq!(timed(&mut feed).await, said(text, 0));
            assert_eq!(script.looks(), looks);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_within_half_a_second_when_its_caller_is_refused() {
        let script = Script::default();
        let (mut feed, _closing) = script.feed();
        feed.next().await;
        script.0.refused.store(true, Ordering::SeqCst);
        assert_eq!(timed(&mut feed).await, (None, 5));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_that_was_away_is_checked_before_it_gets_more() {
        let script = Script::default();
        let (mut feed, _closing) = script.feed();
        feed.next().await;
        script.add(1);
        script.0.refused.store(true, Ordering::SeqCst);
        tokio::time::advance(Duration::from_mins(1)).await;
        assert_eq!(timed(&mut feed).await, (None, 0));
        assert_eq!(script.looks(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_ends_when_the_server_stops_or_nothing_will_follow() {
        let script = Script::default();
        let (mut feed, closing) = script.feed();
        feed.next().await;
        closing.cancel();
        assert_eq!(timed(&mut feed).await, (None, 0));
        script.add(3);
        script.0.ended.store(true, Ordering::SeqCst);
        let (mut feed, _closing) = script.feed();
        feed.next().await;
        for expected in [said("ee", 0), said("e", 0), (None, 0)] {
            assert_eq!(timed(&mut feed).await, expected);
        }
    }
}
