//! The least that an HTTP/1.1 client can be. The load comes from the machine that is being measured,
//! so what the client spends is missing from what it measures: a request is bytes made once, and of
//! an answer only the status and the length are looked at.

use std::{fmt::Write as _, io, net::SocketAddr};

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum HttpError {
    /// Nobody listens there.
    #[error("could not connect to {address}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The connection broke.
    #[error("the connection to the API broke")]
    Broken(#[source] io::Error),
    /// What came is not an answer with a length.
    #[error("the API's answer cannot be read: {0}")]
    Unreadable(&'static str),
    /// The answer is another than the one that was to be measured.
    #[error("the API answered {status} instead of {expected}: {body}")]
    Refused {
        /// The status that came.
        status: u16,
        /// The one that should have come.
        expected: u16,
        /// What the answer says.
        body: String,
    },
}

/// A request, ready to be sent any number of times.
#[derive(Debug, Clone)]
pub(super) struct Request(Vec<u8>);

impl Request {
    /// Reads `path`; without a key, as nobody.
    pub(super) fn get(path: &str, key: &str) -> Self {
        Self::new("GET", path, key, b"")
    }

    /// Sends JSON to `path`.
    pub(super) fn send_json(method: &str, path: &str, key: &str, body: &Value) -> Self {
        Self::new(method, path, key, body.to_string().as_bytes())
    }

    /// Posts JSON to `path` under an idempotency key, so that it can be sent again.
    pub(super) fn order(path: &str, key: &str, idempotency_key: &str, body: &Value) -> Self {
        let more = format!("idempotency-key: {idempotency_key}\r\n");
        Self::with_head("POST", path, key, &more, body.to_string().as_bytes())
    }

    fn new(method: &str, path: &str, key: &str, body: &[u8]) -> Self {
        Self::with_head(method, path, key, "", body)
    }

    fn with_head(method: &str, path: &str, key: &str, more: &str, body: &[u8]) -> Self {
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{more}");
        if !key.is_empty() {
            head.push_str("authorization: Bearer ");
            head.push_str(key);
            head.push_str("\r\n");
        }
        if !body.is_empty() {
            let length = body.len();
            head.push_str("content-type: application/json\r\n");
            let _ = write!(head, "content-length: {length}\r\n");
        }
        head.push_str("\r\n");
        let mut bytes = head.into_bytes();
        bytes.extend_from_slice(body);
        Self(bytes)
    }
}

/// A connection that is kept for one request after the other.
pub(super) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer, in the connection's own buffer.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) body: &'a [u8],
}

const FIRST_BUFFER: usize = 4096;

impl Connection {
    pub(super) async fn open(address: SocketAddr) -> Result<Self, HttpError> {
        let connect = |source| HttpError::Connect { address, source };
        let stream = TcpStream::connect(address).await.map_err(connect)?;
        stream.set_nodelay(true).map_err(connect)?;
        Ok(Self {
            stream,
            buffer: Vec::with_capacity(FIRST_BUFFER),
        })
    }

    /// Sends the request and waits for the whole answer.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Answer<'_>, HttpError> {
        let sent = self.stream.write_all(&request.0).await;
        sent.map_err(HttpError::Broken)?;
        self.buffer.clear();
        let head = loop {
            self.read_more().await?;
            if let Some(head) = Head::parse(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < head.end + head.body {
            self.read_more().await?;
        }
        let body = self.buffer.get(head.end..).unwrap_or_default();
        Ok(Answer {
            status: head.status,
            body,
        })
    }

    async fn read_more(&mut self) -> Result<(), HttpError> {
        match self.stream.read_buf(&mut self.buffer).await {
            Ok(0) => Err(HttpError::Broken(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) => Ok(()),
            Err(error) => Err(HttpError::Broken(error)),
        }
    }
}

impl Answer<'_> {
    /// Nothing if the answer has this status, else what it says instead.
    pub(super) fn expect(&self, expected: u16) -> Result<(), HttpError> {
        if self.status == expected {
            return Ok(());
        }
        Err(HttpError::Refused {
            status: self.status,
            expected,
            body: String::from_utf8_lossy(self.body).into_owned(),
        })
    }
}

struct Head {
    status: u16,
    /// Where the body begins.
    end: usize,
    body: usize,
}

const END: &[u8] = b"\r\n\r\n";
const LENGTH: &[u8] = b"content-length:";

impl Head {
    /// None while the head is not complete.
    fn parse(bytes: &[u8]) -> Result<Option<Self>, HttpError> {
        let Some(at) = bytes.windows(END.len()).position(|window| window == END) else {
            return Ok(None);
        };
        let head = bytes.get(..at).unwrap_or_default();
        let mut lines = head.split(|byte| *byte == b'\n');
        let status = lines.next().and_then(|line| number(line.get(9..12)?));
        let status = status.ok_or(HttpError::Unreadable("it has no status"))?;
        let length = lines
            .find(|line| {
                let name = line.get(..LENGTH.len());
                name.is_some_and(|name| name.eq_ignore_ascii_case(LENGTH))
            })
            .and_then(|line| number(line.get(LENGTH.len()..)?.trim_ascii()));
        Ok(Some(Self {
            status,
            end: at + END.len(),
            body: length.ok_or(HttpError::Unreadable("it has no length"))?,
        }))
    }
}

fn number<T: std::str::FromStr>(digits: &[u8]) -> Option<T> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_when_it_is_whole() {
        let whole = b"HTTP/1.1 202 Accepted\r\nContent-Length: 12\r\nx: y\r\n\r\n{";
        let head = Head::parse(whole).unwrap().unwrap();
        assert_eq!((head.status, head.body), (202, 12));
        assert_eq!(whole.get(head.end..), Some(&b"{"[..]));
        assert!(Head::parse(b"HTTP/1.1 202 Accepted\r\n").unwrap().is_none());
        assert!(Head::parse(b"HTTP/1.1 202 Accepted\r\n\r\n").is_err());
    }
}
