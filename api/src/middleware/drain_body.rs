//! Reads what is left of a request's body before the answer goes out.
//!
//! An answer to a client that still sends (a body too large, a key refused) is followed by the end of
//! the connection. With bytes unread, TCP resets it, and the client sees a broken connection
//! instead of the answer. So the rest is read and thrown away, as far as is reasonable.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::header,
    response::Response,
};
use http_body_util::BodyExt;
use hyper::body::{Frame, SizeHint};

/// Bytes that are read for nothing at most; who sends more has to do without the answer.
const MOST_BYTES: usize = 16 * 1024 * 1024;
/// Time that this may take.
const LIMIT: Duration = Duration::from_secs(5);

pub async fn drain_body<F: Future<Output = Response>>(
    req: Request,
    next: impl FnOnce(Request) -> F,
) -> Response {
    // Such a client waits for a sign before it sends; the answer is the sign not to.
    if req.headers().contains_key(header::EXPECT) {
        return next(req).await;
    }
    let (parts, body) = req.into_parts();
    let shared = Shared(Arc::new(Mutex::new(body)));
    let response = next(Request::from_parts(parts, Body::new(shared.clone()))).await;
    if !shared.is_end_stream() {
        // Whether it came to the end or not, the answer goes out.
        let _ = tokio::time::timeout(LIMIT, drain(shared)).await;
    }
    response
}

async fn drain(mut body: Shared) {
    let mut left = MOST_BYTES;
    while let Some(Ok(frame)) = body.frame().await {
        let length = frame.data_ref().map_or(0, Bytes::len);
        let Some(rest) = left.checked_sub(length) else {
            return;
        };
        left = rest;
    }
}

/// A body that outlives the handler which reads it.
#[derive(Clone)]
struct Shared(Arc<Mutex<Body>>);

impl HttpBody for Shared {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Poll::Ready(ready!(Pin::new(&mut *body).poll_frame(cx)))
    }

    fn is_end_stream(&self) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .size_hint()
    }
}
