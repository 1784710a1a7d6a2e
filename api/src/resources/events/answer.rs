//! The answer of both routes: a stream, or a list.

use axum::{
    Json,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use unity_shared::events::Event;

use super::{
    feed::Feed,
    query::{EventsQuery, Form},
    scope::{Found, Scope},
    source::EventSource,
    wire::Reset,
};
use crate::{
    auth::{Caller, Credentials},
    error::ApiError,
    long_poll::LongPoll,
    resources::page::PageLimit,
    serve::Closing,
    state::ApiState,
};

/// Events after a number.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub struct EventList {
    /// In their order.
    items: Vec<Event>,
    /// The number to go on from: `since` of the next call. That of the last item, or a later one if
    /// nothing more was to be shown up to there.
    last_id: i64,
    /// Present if there was no going on from `since`: events after it are no longer kept, or it has
    /// not been given yet. Then the items begin with the oldest event that is kept. Null otherwise.
    #[schema(required)]
    reset: Option<Reset>,
}

/// Proxies that collect an answer before they pass it on are told not to.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);
const STREAM_TYPE: HeaderValue = HeaderValue::from_static("text/event-stream");
const UNCACHED: HeaderValue = HeaderValue::from_static("no-store");

/// Answers in the form that the caller wants.
pub async fn answer(
    state: &ApiState,
    caller: &Caller,
    closing: Option<Closing>,
    headers: &HeaderMap,
    query: &EventsQuery,
    scope: Scope,
) -> Result<Response, ApiError> {
    let cursor = query.cursor(headers)?;
    match query.form(headers)? {
        Form::List(limit, wait) => {
            let subject = scope.subject();
            let poll = LongPoll::begin(state, subject, headers, caller, closing, wait);
            let list = list_soon(state, &scope, cursor, limit, poll).await?;
            Ok(Json(list).into_response())
        }
        Form::Stream => {
            let closing = closing.map_or_else(CancellationToken::new, |Closing(token)| token);
            let credentials = Credentials::of(headers, caller);
            stream(state, credentials, closing, scope, cursor).await
        }
    }
}

/// The list when there is something in it, when nothing can follow, or when the wait is over.
async fn list_soon(
    state: &ApiState,
    scope: &Scope,
    cursor: Option<i64>,
    limit: PageLimit,
    mut poll: LongPoll,
) -> Result<EventList, ApiError> {
    let (mut list, mut ended) = list(state, scope, cursor, limit).await?;
    // Without a number reading goes on where it began, or it would step over what happens meanwhile.
    let cursor = cursor.unwrap_or(list.last_id);
    while list.items.is_empty() && list.reset.is_none() && !ended {
        if poll.is_over(state).await? {
            break;
        }
        (list, ended) = self::list(state, scope, Some(cursor), limit).await?;
    }
    Ok(list)
}

/// The list as it is now, and whether nothing can follow it.
async fn list(
    state: &ApiState,
    scope: &Scope,
    cursor: Option<i64>,
    limit: PageLimit,
) -> Result<(EventList, bool), ApiError> {
    let mut reset = None;
    let mut after = match cursor {
        Some(number) => number,
        None => scope.beginning(&scope.read(state, 0, 1).await?.page),
    };
    loop {
        let Found { page, ended } = scope.read(state, after, limit.items()).await?;
        if page.is_broken_after(after) {
            let bounds = Reset::of(&page);
            reset = cursor.is_some().then_some(bounds);
            after = bounds.resume_after();
            continue;
        }
        let list = EventList {
            last_id: page.next_after(limit.items()).unwrap_or(page.latest_id),
            items: page.events,
            reset,
        };
        return Ok((list, ended));
    }
}

async fn stream(
    state: &ApiState,
    credentials: Credentials,
    closing: CancellationToken,
    scope: Scope,
    cursor: Option<i64>,
) -> Result<Response, ApiError> {
    let place = state.streams().enter(credentials.tenant())?;
    let news = state.watch(scope.subject());
    // A first look, while an error can still be told by a status.
    let Found { page, ended } = scope.read(state, cursor.unwrap_or(0), 1).await?;
    let after = cursor.unwrap_or_else(|| scope.beginning(&page));
    if ended && page.events.is_empty() && !page.is_broken_after(after) {
        // A browser comes again when a stream ends, unless it is told this. Who has no number is told it
        // too where no event of the job is kept.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let source = EventSource::new(state, credentials, scope, after, news, place);
    let headers = [
        (header::CONTENT_TYPE, STREAM_TYPE),
        (header::CACHE_CONTROL, UNCACHED),
        UNBUFFERED,
    ];
    let body = Feed::new(source, closing).into_body();
    Ok((headers, body).into_response())
}
