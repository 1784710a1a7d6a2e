//! A mail server for one test: it speaks SMTP (RFC 5321) on a port of its own, keeps what it is sent,
//! and refuses what it is told to refuse.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    task::JoinHandle,
};

use super::eventually;

/// A mail as the server took it.
#[derive(Debug, Clone)]
pub struct Mail {
    /// The envelope: who it is for.
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub text: String,
}

/// The mail server. It stops when it is dropped.
pub struct Mailbox {
    pub url: String,
    kept: Arc<Mutex<Vec<Mail>>>,
    refusals: Arc<Mutex<VecDeque<&'static str>>>,
    server: JoinHandle<()>,
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Mailbox {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("smtp://{}", listener.local_addr().unwrap());
        let kept = Arc::<Mutex<Vec<Mail>>>::default();
        let refusals = Arc::<Mutex<VecDeque<&'static str>>>::default();
        let (mails, replies) = (Arc::clone(&kept), Arc::clone(&refusals));
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (mails, replies) = (Arc::clone(&mails), Arc::clone(&replies));
                // A client that hangs up in the middle is what some tests are about.
                tokio::spawn(async move { converse(stream, &mails, &replies).await });
            }
        });
        Self {
            url,
            kept,
            refusals,
            server,
        }
    }

    /// The next recipients are answered with these replies, one after the other.
    pub fn refuse(&self, replies: &[&'static str]) {
        self.refusals.lock().unwrap().extend(replies);
    }

    pub fn mails(&self) -> Vec<Mail> {
        self.kept.lock().unwrap().clone()
    }

    /// Waits until there are `count` mails to this address and answers the newest.
    pub async fn newest_to(&self, address: &str, count: usize) -> Mail {
        eventually(&format!("{count} mails to {address}"), || async {
            let mails = self.mails();
            let mut to = mails.iter().filter(|mail| mail.to == [address]);
            (to.clone().count() >= count).then(|| to.next_back().unwrap().clone())
        })
        .await
    }
}

impl Mail {
    /// The text after the headers, without the encoding of its lines.
    pub fn body(&self) -> String {
        let (headers, body) = self.text.split_once("\r\n\r\n").unwrap();
        if headers.contains("quoted-printable") {
            decode(body)
        } else {
            body.replace("\r\n", "\n")
        }
    }

    /// The one value of a header, on one line.
    pub fn header(&self, name: &str) -> String {
        let headers = self.text.split_once("\r\n\r\n").unwrap().0;
        let headers = headers.replace("\r\n ", " ");
        let values: Vec<&str> = headers
            .split("\r\n")
            .filter_map(|line| line.split_once(": "))
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .collect();
        assert_eq!(values.len(), 1, "{name}: {headers}");
        values[0].to_owned()
    }

    /// The token in it.
    pub fn token(&self) -> String {
        let body = self.body();
        let start = body
            .find("um_")
            .unwrap_or_else(|| panic!("no token: {body}"));
        body[start..start + 46].to_owned()
    }
}

/// Quoted-printable (RFC 2045, 6.7).
fn decode(text: &str) -> String {
    let joined = text.replace("=\r\n", "").replace("\r\n", "\n");
    let mut bytes = Vec::new();
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let hex = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(hex, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

async fn converse(
    stream: TcpStream,
    kept: &Mutex<Vec<Mail>>,
    refusals: &Mutex<VecDeque<&'static str>>,
) -> Option<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read);
    let mut to = Vec::new();
    say(&mut write, "220 test").await?;
    loop {
        let line = hear(&mut lines).await?;
        let verb = line.to_uppercase();
        if verb.starts_with("EHLO") {
            say(&mut write, "250-test\r\n250-8BITMIME\r\n250 SMTPUTF8").await?;
        } else if verb.starts_with("RCPT TO:") {
            let refusal = refusals.lock().unwrap().pop_front();
            if let Some(refusal) = refusal {
                say(&mut write, refusal).await?;
                continue;
            }
            let address = line.split('<').nth(1)?.split('>').next()?;
            to.push(address.to_owned());
            say(&mut write, "250 ok").await?;
        } else if verb == "DATA" {
            say(&mut write, "354 go on").await?;
            let mut text = String::new();
            loop {
                let line = hear(&mut lines).await?;
                if line == "." {
                    break;
                }
                text.push_str(line.strip_prefix('.').unwrap_or(&line));
                text.push_str("\r\n");
            }
            let to = std::mem::take(&mut to);
            kept.lock().unwrap().push(Mail { to, text });
            say(&mut write, "250 taken").await?;
        } else if verb == "QUIT" {
            return say(&mut write, "221 bye").await;
        } else {
            say(&mut write, "250 ok").await?;
        }
    }
}

async fn hear(lines: &mut BufReader<OwnedReadHalf>) -> Option<String> {
    let mut line = Vec::new();
    let length = lines.read_until(b'\n', &mut line).await.ok()?;
    let line = String::from_utf8(line).ok()?;
    (length > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
}

async fn say(write: &mut OwnedWriteHalf, reply: &str) -> Option<()> {
    write
        .write_all(format!("{reply}\r\n").as_bytes())
        .await
        .ok()
}
