//! A router that this process serves itself, behind the API's own listener.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context as _, Result};
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use unity_api::ServeError;

/// A router while it is served.
pub(super) struct Served {
    pub(super) address: SocketAddr,
    shutdown: CancellationToken,
    serving: JoinHandle<Result<(), ServeError>>,
}

/// How long its last requests may take.
pub(super) const DRAIN: Duration = Duration::from_secs(1);

impl Served {
    /// Begins to serve on a free port.
    pub(super) async fn start<F>(
        serve: impl FnOnce(TcpListener, CancellationToken) -> F,
    ) -> Result<Self>
    where
        F: Future<Output = Result<(), ServeError>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shutdown = CancellationToken::new();
        let serving = tokio::spawn(serve(listener, shutdown.clone()));
        Ok(Self {
            address,
            shutdown,
            serving,
        })
    }

    /// Ends it, and says whether it served to the end.
    pub(super) async fn end(self) -> Result<()> {
        self.shutdown.cancel();
        let served = self.serving.await?;
        served.context("this process stopped answering")
    }
}
