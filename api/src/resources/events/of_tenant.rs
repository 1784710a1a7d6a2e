//! `GET /events`.

use axum::{Extension, extract::State, http::HeaderMap, response::Response};

use super::{
    answer::{EventList, answer},
    query::EventsQuery,
    scope::Scope,
};
use crate::{
    auth::{Caller, TenantCaller},
    error::ApiError,
    extract::QueryParameters,
    problem::ProblemBody,
    serve::Closing,
    state::ApiState,
};

/// Shows what happens to the tenant's jobs: as a stream of server-sent events, or as a list where
/// `Accept` names `application/json` and not `text/event-stream`.
///
/// Every event has a number, `id`, in the tenant's one sequence. It rises by one, and it is the same
/// in the stream, in the list and in webhooks. Without a number to go on from, reading begins with
/// what happens next.
///
/// In the stream, `id:` is the number, `event:` the type and `data:` the event on one line. A comment
/// every 15 seconds says that the stream lives. It ends when its key or token does, and when the server
/// stops; go on with `Last-Event-ID`. When the events that should follow are no longer kept, or the
/// number has not been given yet, `event: reset` says so with `{oldest_id, latest_id}`, and the
/// stream goes on with the oldest event that is kept.
#[utoipa::path(
    get,
    path = "/events",
    tag = "events",
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0,
         description = "The number of the last event that the reader has. It goes before the parameters."),
    ),
    responses(
        (status = 200, description = "The events.", content(
            (String = "text/event-stream"),
            (EventList = "application/json"),
        )),
        (status = 400, description = "A number that is none.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "The tenant has 100 streams open at this server.",
         body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list_events(
    State(state): State<ApiState>,
    caller: Caller,
    TenantCaller { role: _, tenant }: TenantCaller,
    closing: Option<Extension<Closing>>,
    headers: HeaderMap,
    QueryParameters(query): QueryParameters<EventsQuery>,
) -> Result<Response, ApiError> {
    let scope = Scope { tenant, job: None };
    let closing = closing.map(|Extension(closing)| closing);
    answer(&state, &caller, closing, &headers, &query, scope).await
}
