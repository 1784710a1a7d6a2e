//! A reader of server-sent events.

use std::{collections::VecDeque, time::Duration};

use reqwest::{Method, Response};
use serde_json::Value;

use super::Caller;

/// An open stream of events.
pub struct EventStream {
    response: Response,
    bytes: Vec<u8>,
    blocks: VecDeque<String>,
}

/// One event of a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    pub id: i64,
    pub event: String,
    pub data: Value,
}

/// No test waits longer for what should come.
const PATIENCE: Duration = Duration::from_secs(30);

impl EventStream {
    /// Opens a stream, after the event of this number if there is one.
    pub async fn open(caller: &Caller, path: &str, last: Option<i64>) -> Self {
        let last = last.map(|last| last.to_string());
        let mut headers = vec![("accept", "text/event-stream")];
        headers.extend(last.as_deref().map(|last| ("last-event-id", last)));
        let response = caller.open(Method::GET, path, &headers, None).await;
        assert_eq!(response.status(), 200, "{path}");
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(header("content-type"), "text/event-stream");
        assert_eq!(header("cache-control"), "no-store");
        assert_eq!(header("x-accel-buffering"), "no");
        let mut stream = Self {
            response,
            bytes: Vec::new(),
            blocks: VecDeque::new(),
        };
        assert_eq!(stream.block().await.unwrap(), "retry: 2000");
        stream
    }

    /// The next event; absent = the stream has ended.
    pub async fn next(&mut self) -> Option<Message> {
        loop {
            let block = self.block().await?;
            if !block.starts_with(':') {
                return Some(Message::read(&block));
            }
        }
    }

    /// So many events.
    pub async fn take(&mut self, count: usize) -> Vec<Message> {
        let mut messages = Vec::new();
        while messages.len() < count {
            messages.push(self.next().await.expect("the stream goes on"));
        }
        messages
    }

    /// All events up to the stream's end.
    pub async fn rest(&mut self) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(message) = self.next().await {
            messages.push(message);
        }
        messages
    }

    /// The next text up to an empty line.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some(block) = self.blocks.pop_front() {
                return Some(block);
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await;
            let chunk = chunk.expect("nothing came").expect("the stream is whole")?;
            self.bytes.extend_from_slice(&chunk);
            while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
                let block = self.bytes.drain(..end + 2).take(end).collect();
                self.blocks.push_back(String::from_utf8(block).unwrap());
            }
        }
    }
}

impl Message {
    fn read(block: &str) -> Self {
        let lines: Vec<(&str, &str)> = block
            .lines()
            .map(|line| line.split_once(": ").unwrap())
            .collect();
        let [("id", id), ("event", event), ("data", data)] = lines[..] else {
            panic!("not an event of ours: {block}");
        };
        Self {
            id: id.parse().unwrap(),
            event: event.to_owned(),
            data: serde_json::from_str(data).unwrap(),
        }
    }
}
