//! Serves a router on a listener until told to stop, then lets requests finish.
//!
//! axum's own loop sets no time limit on reading a request's head, so a client that sends one byte a
//! minute would hold a connection for ever. This loop does.

use std::{io, net::IpAddr, time::Duration};

use axum::{Router, http::Request};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use unity_shared::telemetry::chain;

use crate::stall_limit::StallLimit;

/// Why serving did not end as it should.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Requests were still under way when the time for them was over.
    #[error("{connections} connections were cut off after {limit:?}")]
    CutOff {
        /// How many.
        connections: usize,
        /// The time they had.
        limit: Duration,
    },
}

/// Cancelled when the server begins to stop: a long poll answers at once, a stream ends.
#[derive(Debug, Clone)]
pub(crate) struct Closing(pub CancellationToken);

/// Where a request's connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PeerAddress(pub IpAddr);

/// Longest time for a request's head to arrive, and for a kept connection to idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Pause after a failed accept: the usual reason, too many open files, needs time to pass.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// Serves `router` until `shutdown`; then accepts no more, lets requests under way finish for at most
/// `drain`, and cuts off the rest.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    drain: Duration,
) -> Result<(), ServeError> {
    let closing = Closing(shutdown.clone());
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    let about = (PeerAddress(peer.ip()), closing.clone());
                    connections.spawn(serve_connection(stream, about, router.clone(), &graceful));
                }
                Err(error) => pause_after(&error, &shutdown).await,
            },
        }
    }
    drop(listener);
    let finished = tokio::time::timeout(drain, graceful.shutdown())
        .await
        .is_ok();
    while connections.try_join_next().is_some() {}
    let left = connections.len();
    connections.shutdown().await;
    if finished {
        Ok(())
    } else {
        Err(ServeError::CutOff {
            connections: left,
            limit: drain,
        })
    }
}

fn serve_connection(
    stream: TcpStream,
    (peer, closing): (PeerAddress, Closing),
    router: Router,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + use<> {
    // Answers are small and complete: waiting to fill a packet only adds latency. Failing to say so
    // is no reason to refuse the connection.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut req: Request<Incoming>| {
        req.extensions_mut().insert(peer);
        req.extensions_mut().insert(closing.clone());
        req
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(
            TokioIo::new(StallLimit::new(stream)),
            TowerToHyperService::new(service),
        );
    let connection = graceful.watch(connection);
    async move {
        if let Err(error) = connection.await {
            tracing::debug!(error = %chain(&error), "connection ended early");
        }
    }
}

/// A client that gave up while it was being accepted is nobody's trouble.
async fn pause_after(error: &io::Error, shutdown: &CancellationToken) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    ) {
        return;
    }
    tracing::error!(error = %chain(error), "could not accept a connection");
    tokio::select! {
        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
        () = shutdown.cancelled() => {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::Notify,
        task::JoinHandle,
    };

    use super::*;

    /// A server with one route that answers when `go` is told, and a request that has reached it.
    async fn busy_server(
        drain: Duration,
    ) -> (
        TcpStream,
        Arc<Notify>,
        CancellationToken,
        JoinHandle<Result<(), ServeError>>,
    ) {
        let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (told, wait) = (Arc::clone(&reached), Arc::clone(&go));
        let slow = get(async move || {
            told.notify_one();
            wait.notified().await;
            "done"
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let router = Router::new().route("/", slow);
        let server = tokio::spawn(serve(listener, router, shutdown.clone(), drain));
        let mut client = TcpStream::connect(address).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n")
            .await
            .unwrap();
        reached.notified().await;
        (client, go, shutdown, server)
    }

    #[tokio::test]
    async fn a_request_under_way_is_finished_before_the_server_stops() {
        let (mut client, go, shutdown, server) = busy_server(Duration::from_mins(1)).await;
        shutdown.cancel();
        go.notify_one();
        let mut answer = String::new();
        client.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
            "{answer}"
        );
        server.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_request_that_outlasts_the_limit_is_cut_off() {
        let (_client, _go, shutdown, server) = busy_server(Duration::from_millis(1)).await;
        shutdown.cancel();
        let result = server.await.unwrap();
        assert!(
            matches!(result, Err(ServeError::CutOff { connections: 1, .. })),
            "{result:?}"
        );
    }
}
