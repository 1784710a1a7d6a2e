//! `GET /jobs/{id}/events`.

use axum::{Extension, extract::State, http::HeaderMap, response::Response};
use unity_shared::ids::JobId;

use super::{
    answer::{EventList, answer},
    query::EventsQuery,
    scope::Scope,
};
use crate::{
    auth::Caller,
    error::ApiError,
    extract::{PathId, QueryParameters},
    problem::ProblemBody,
    resources::jobs::tenant_to_search,
    serve::Closing,
    state::ApiState,
};

/// Shows what happens to one job: as `GET /events` does, with the same numbers, but from the job's
/// first event on unless there is a number to go on from.
///
/// The stream ends by itself when the job has ended and all of its events were sent. Asking for what
/// follows the last of them is answered with 204, which tells a browser not to come again.
#[utoipa::path(
    get,
    path = "/jobs/{id}/events",
    tag = "jobs",
    params(
        ("id" = JobId, Path, description = "The job."),
        EventsQuery,
        ("Last-Event-ID" = Option<i64>, Header, minimum = 0,
         description = "The number of the last event that the reader has. It goes before the parameters."),
    ),
    responses(
        (status = 200, description = "The events.", content(
            (String = "text/event-stream"),
            (EventList = "application/json"),
        )),
        (status = 204, description = "The job has ended, and no event of it follows (streams only)."),
        (status = 400, description = "A number that is none.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 404, description = "No such job, or not the caller's.", body = ProblemBody,
         content_type = "application/problem+json"),
        (status = 429, description = "The tenant has 100 streams open at this server.",
         body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list_job_events(
    State(state): State<ApiState>,
    caller: Caller,
    closing: Option<Extension<Closing>>,
    headers: HeaderMap,
    PathId(id): PathId<JobId>,
    QueryParameters(query): QueryParameters<EventsQuery>,
) -> Result<Response, ApiError> {
    let tenant = tenant_to_search(&state, &caller, id).await?;
    let scope = Scope {
        tenant,
        job: Some(id),
    };
    let closing = closing.map(|Extension(closing)| closing);
    answer(&state, &caller, closing, &headers, &query, scope).await
}
