//! Writes the body of every error, in the one place that knows the request and the error.

use axum::{
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::CurrentRequestId;
use crate::{error::ApiError, problem::Problem};

pub async fn render_problems<F: Future<Output = Response>>(
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    let request_id = req.extensions().get::<CurrentRequestId>().map(|id| id.0);
    let instance = req.uri().path().to_owned();
    let response = explain(next(req).await);
    match response.extensions().get::<Problem>() {
        Some(problem) => problem.render(&response, request_id, &instance),
        None => response,
    }
}

/// An error that a library answered by itself becomes one of ours.
fn explain(response: Response) -> Response {
    let status = response.status();
    let is_error = status.is_client_error() || status.is_server_error();
    if !is_error || response.extensions().get::<Problem>().is_some() {
        return response;
    }
    let error = match status {
        StatusCode::NOT_FOUND => ApiError::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => ApiError::MethodNotAllowed,
        other => ApiError::Defect(format!("a library answered {other} by itself")),
    };
    let mut explained = error.into_response();
    if let Some(allow) = response.headers().get(header::ALLOW) {
        explained.headers_mut().insert(header::ALLOW, allow.clone());
    }
    explained
}
