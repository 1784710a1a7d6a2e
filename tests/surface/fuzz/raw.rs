//! Bytes that no client library sends.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::ground::Ground;

/// What stands between `GET ` and the end of the request's head; `KEY` is a good credential.
const HEADS: [&[u8]; 26] = [
    b"/api/v1/jobs/\xff\xfe HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs?kind=\xff\xfe HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs?label=\xc3\xa9:\xe2\x80\xae HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs\0 HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\xff",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: \xff\xff",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nX: \x01",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nIf-Match: \x7f",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nbad name: x",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\n folded",
    b"/api/v1/jobs HTTP/1.1\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nHost: b\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs HTTP/1.0\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs HTTP/9.9\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs\r\n",
    b"http://elsewhere.example/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"//api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"* HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/./jobs/../jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs#x HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: -1",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 99999999999999999999",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nContent-Length: 0\r\nContent-Length: 1",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nTransfer-Encoding: chunked, x",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nUpgrade: h2c\r\nConnection: upgrade",
    b"/api/v1/jobs HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer KEY\r\nExpect: 200-maybe",
];
const METHODS: [&str; 8] = [
    "GET", "get", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW", "\u{e9}",
];

/// Sends these bytes and answers what comes until the other side has nothing more to say.
async fn exchange(address: &str, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Whoever is cut off while it writes has its answer too.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut chunk)).await;
        match read.expect("the server says something or hangs up") {
            Ok(0) | Err(_) => return answer,
            Ok(length) => answer.extend_from_slice(&chunk[..length]),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_request_are_refused_and_the_next_request_is_answered() {
    let ground = Ground::prepare().await;
    let operation = super::operations(&ground.stack).await;
    let list = operation
        .iter()
        .find(|one| one.name == "list_jobs")
        .unwrap();
    let (_, caller) = ground.caller_of(list);
    let key = caller.key.clone().unwrap();
    let address = caller.base.trim_start_matches("http://").to_owned();
    let mut heads: Vec<(String, Vec<u8>)> = Vec::new();
    for head in HEADS {
        heads.push(("GET".to_owned(), head.to_vec()));
    }
    for method in METHODS {
        heads.push((method.to_owned(), HEADS[10].to_vec()));
    }
    let long = [HEADS[11], b"\r\nX: ", &vec![b'x'; 600_000]].concat();
    heads.push(("GET".to_owned(), long));
    let longer = [
        b"/api/v1/jobs?kind=".as_slice(),
        &vec![b'x'; 200_000],
        b" HTTP/1.1\r\nHost: a",
    ]
    .concat();
    heads.push(("GET".to_owned(), longer));
    for (method, head) in heads {
        let place = head.windows(3).position(|three| three == b"KEY");
        let head = match place {
            Some(at) => [&head[..at], key.as_bytes(), &head[at + 3..]].concat(),
            None => head,
        };
        let request = [
            method.as_bytes(),
            b" ",
            &head,
            b"\r\nConnection: close\r\n\r\n",
        ]
        .concat();
        let answer = exchange(&address, &request).await;
        let shown = String::from_utf8_lossy(&answer);
        let line = shown.lines().next().unwrap_or_default();
        let told = request[..request.len().min(200)].escape_ascii().to_string();
        // Nothing at all is an answer to what is no request.
        let status = line
            .split(' ')
            .nth(1)
            .map(|status| status.parse::<u16>().unwrap());
        assert!(status.is_none_or(|status| status < 500), "{told}: {line}");
        for inside in ["panicked", ".rs:", "hyper"] {
            assert!(!shown.contains(inside), "{told}: {shown}");
        }
        caller.get("/api/v1/jobs?limit=1").await.expect(200);
    }
    ground.stack.stop().await;
}
