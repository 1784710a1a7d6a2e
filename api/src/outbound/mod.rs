//! The one way in which the API calls what a tenant has named.
//!
//! A request goes over TLS to an address of the public internet, follows no redirect, and is given up
//! when it takes too long or answers too much. A name is resolved here and the address is connected
//! to as it was judged, so nothing can change in between.

mod address;

use std::{
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::http::{HeaderValue, Request, Response, Uri, header, uri::Scheme};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use address::is_public;

/// Longest time from the name to the last byte.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest body of an answer, in bytes.
const BODY_LIMIT_BYTES: usize = 256 * 1024;
/// Largest head of an answer, in bytes.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
pub enum OutboundError {
    /// The address is no `https` address with a host.
    #[error("not an address that can be called")]
    Address,
    /// The name is nobody's, or is one that must not be called.
    #[error("the host has no address that may be called")]
    Blocked,
    /// There was no connection.
    #[error("could not connect")]
    Connect(#[source] std::io::Error),
    /// TLS cannot be used at all.
    #[error("could not prepare TLS")]
    Tls,
    /// What came was no HTTP.
    #[error("could not exchange request and answer")]
    Exchange(#[source] hyper::Error),
    /// The body broke off, or was too large.
    #[error("could not read the answer")]
    Body(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took too long.
    #[error("no answer within {PATIENCE:?}")]
    Timeout,
}

/// Calls others. Clones share it.
#[derive(Clone)]
pub struct Outbound {
    /// Absent = TLS cannot be used, which is said when something is called.
    tls: Option<TlsConnector>,
    loopback: bool,
}

/// Where a request goes.
struct Target {
    host: String,
    port: u16,
    is_tls: bool,
}

impl Outbound {
    /// One that trusts what the system trusts. With `loopback` it also calls this very machine, and
    /// without TLS: for development and tests.
    pub fn new(loopback: bool) -> Self {
        let mut roots = RootCertStore::empty();
        for certificate in rustls_native_certs::load_native_certs().certs {
            // One certificate that cannot be read is no reason to trust none.
            let _ = roots.add(certificate);
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .ok()
            .map(|config| config.with_root_certificates(roots).with_no_client_auth());
        Self {
            tls: config.map(|config| TlsConnector::from(Arc::new(config))),
            loopback,
        }
    }

    /// Whether a request to this address would be tried at all: its form is right. What its name means
    /// is found out when it is called.
    pub fn takes(&self, uri: &Uri) -> bool {
        self.target(uri).is_ok()
    }

    /// Sends a request and answers whatever comes, also a redirect.
    pub async fn send(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, OutboundError> {
        tokio::time::timeout(PATIENCE, self.exchange(request))
            .await
            .map_err(|_| OutboundError::Timeout)?
    }

    async fn exchange(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Response<Vec<u8>>, OutboundError> {
        let target = self.target(request.uri())?;
        let address = self.resolve(&target).await?;
        let stream = TcpStream::connect(address)
            .await
            .map_err(OutboundError::Connect)?;
        let request = in_origin_form(request)?;
        if target.is_tls {
            let name = ServerName::try_from(target.host).map_err(|_| OutboundError::Address)?;
            let tls = self.tls.as_ref().ok_or(OutboundError::Tls)?;
            let stream = tls.connect(name, stream).await;
            speak(stream.map_err(OutboundError::Connect)?, request).await
        } else {
            speak(stream, request).await
        }
    }

    fn target(&self, uri: &Uri) -> Result<Target, OutboundError> {
        let authority = uri.authority().ok_or(OutboundError::Address)?;
        let is_tls = uri.scheme() == Some(&Scheme::HTTPS);
        let is_plain = uri.scheme() == Some(&Scheme::HTTP) && self.loopback;
        if !(is_tls || is_plain) || authority.as_str().contains('@') || authority.host().is_empty()
        {
            return Err(OutboundError::Address);
        }
        let host = match authority.host().strip_prefix('[') {
            Some(literal) => {
                let literal = literal.trim_end_matches(']');
                // Only an address of IPv6 stands in brackets; the parser lets anything stand there.
                literal
                    .parse::<Ipv6Addr>()
                    .map_err(|_| OutboundError::Address)?;
                literal
            }
            None => authority.host(),
        };
        Ok(Target {
            host: host.to_owned(),
            port: authority
                .port_u16()
                .unwrap_or(if is_tls { 443 } else { 80 }),
            is_tls,
        })
    }

    /// The first address that may be called.
    async fn resolve(&self, target: &Target) -> Result<SocketAddr, OutboundError> {
        let found = tokio::net::lookup_host((target.host.as_str(), target.port))
            .await
            .map_err(OutboundError::Connect)?;
        let may_be_called = |address: IpAddr| {
            let here = self.loopback && address.to_canonical().is_loopback();
            here || (target.is_tls && is_public(address))
        };
        found
            .into_iter()
            .find(|address| may_be_called(address.ip()))
            .ok_or(OutboundError::Blocked)
    }
}

impl std::fmt::Debug for Outbound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbound")
            .field("loopback", &self.loopback)
            .finish_non_exhaustive()
    }
}

/// The request as a server takes it: the path as its address, the host as a header.
fn in_origin_form(request: Request<Vec<u8>>) -> Result<Request<Full<Bytes>>, OutboundError> {
    let (mut parts, body) = request.into_parts();
    let authority = parts.uri.authority().ok_or(OutboundError::Address)?;
    let host = HeaderValue::from_str(authority.as_str()).map_err(|_| OutboundError::Address)?;
    parts.headers.insert(header::HOST, host);
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    parts.uri = path.parse().map_err(|_| OutboundError::Address)?;
    Ok(Request::from_parts(parts, Full::new(Bytes::from(body))))
}

async fn speak<S: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    stream: S,
    request: Request<Full<Bytes>>,
) -> Result<Response<Vec<u8>>, OutboundError> {
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_LIMIT_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(OutboundError::Exchange)?;
    let exchange = async {
        let answer = sender.send_request(request).await;
        let (parts, body) = answer.map_err(OutboundError::Exchange)?.into_parts();
        let body = Limited::new(body, BODY_LIMIT_BYTES)
            .collect()
            .await
            .map_err(OutboundError::Body)?;
        Ok(Response::from_parts(parts, body.to_bytes().to_vec()))
    };
    tokio::pin!(connection, exchange);
    tokio::select! {
        biased;
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended.map_err(OutboundError::Exchange)?;
            // All has been read; what is left of the answer is in memory.
            exchange.await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(address: &str) -> Request<Vec<u8>> {
        Request::get(address).body(Vec::new()).unwrap()
    }

    #[test]
    fn an_address_is_https_with_a_host_and_nobody_in_front_of_it() {
        let outbound = Outbound::new(false);
        let takes = |outbound: &Outbound, text: &str| {
            text.parse::<Uri>().is_ok_and(|uri| outbound.takes(&uri))
        };
        assert!(takes(&outbound, "https://issuer.example/path"));
        for bad in [
            "http://issuer.example",
            "https://user@issuer.example",
            "https://a:b@issuer.example",
            "/path",
            "ftp://issuer.example",
            "",
        ] {
            assert!(!takes(&outbound, bad), "{bad}");
        }
        assert!(takes(&Outbound::new(true), "http://127.0.0.1:1"));
    }

    #[tokio::test]
    async fn what_is_not_of_the_internet_is_not_connected_to() {
        let outbound = Outbound::new(false);
        for inside in [
            "https://127.0.0.1:1",
            "https://127.1:1",
            "https://2130706433:1",
            "https://0x7f.1:1",
            "https://localhost:1",
            "https://169.254.169.254",
            "https://10.0.0.1",
            "https://[::1]:1",
            "https://[::ffff:10.0.0.1]",
        ] {
            let refused = outbound.send(request(inside)).await;
            assert!(
                matches!(refused, Err(OutboundError::Blocked)),
                "{inside}: {refused:?}"
            );
        }
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_is_given_up() {
        use tokio::io::AsyncWriteExt as _;

        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10000000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            // It ends when nobody reads any more.
            while stream.write_all(&[b'x'; 4096]).await.is_ok() {}
        });
        let outbound = Outbound::new(true);
        let refused = outbound.send(request(&address)).await;
        assert!(
            matches!(refused, Err(OutboundError::Body(_))),
            "{refused:?}"
        );
        server.await.unwrap();
    }
}
