//! A handler that panics answers 500; the process and the other requests live on.

use std::{any::Any, panic::AssertUnwindSafe};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use futures::FutureExt;

use crate::error::ApiError;

pub async fn answer_panics<F: Future<Output = Response>>(
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    // Nothing that a handler shares is left half-changed by a panic: the locks are ours and hold no
    // statement that can panic, and a transaction undoes itself.
    match AssertUnwindSafe(next(req)).catch_unwind().await {
        Ok(response) => response,
        Err(panic) => {
            ApiError::Defect(format!("a handler panicked: {}", message(&*panic))).into_response()
        }
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    if let Some(text) = panic.downcast_ref::<&str>() {
        text
    } else if let Some(text) = panic.downcast_ref::<String>() {
        text
    } else {
        "without a message"
    }
}
