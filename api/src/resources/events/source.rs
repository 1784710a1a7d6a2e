//! What a stream says next: the events after the last one that it said.

use super::{
    feed::{Look, Next, Source},
    scope::{Found, Scope},
    wire::{self, Reset},
};
use crate::{
    auth::Credentials, error::ApiError, news::NewsWatch, state::ApiState, streams::StreamPlace,
};

/// Events in one read. A reader takes them at its own pace: the next read waits until its socket has
/// taken these.
const PAGE: i64 = 200;

/// An open stream.
pub struct EventSource {
    state: ApiState,
    credentials: Credentials,
    scope: Scope,
    /// All events up to this number were said, or are not this stream's.
    after: i64,
    /// Subscribed before the first read.
    news: NewsWatch,
    _place: StreamPlace,
}

impl EventSource {
    /// A stream of the events after number `after`, which ends when `credentials` do. `news` must be
    /// older than any read that led to `after`.
    pub fn new(
        state: &ApiState,
        credentials: Credentials,
        scope: Scope,
        after: i64,
        news: NewsWatch,
        place: StreamPlace,
    ) -> Self {
        Self {
            state: state.clone(),
            credentials,
            scope,
            after,
            news,
            _place: place,
        }
    }
}

impl Source for EventSource {
    async fn is_admitted(&mut self) -> bool {
        self.credentials.hold(&self.state).await
    }

    async fn look(&mut self) -> Result<Look, ApiError> {
        let _turn = self.state.streams().turn().await;
        let Found { page, ended } = self.scope.read(&self.state, self.after, PAGE).await?;
        if page.is_broken_after(self.after) {
            let reset = Reset::of(&page);
            self.after = reset.resume_after();
            return Ok(Look {
                text: reset.text()?,
                next: Next::AtOnce,
            });
        }
        let text = wire::text(&page.events)?;
        let next = if let Some(last) = page.next_after(PAGE) {
            self.after = last;
            Next::AtOnce
        } else {
            self.after = page.latest_id;
            if ended { Next::Never } else { Next::WithNews }
        };
        Ok(Look { text, next })
    }

    async fn news(&mut self) {
        self.news.changed().await;
    }
}
