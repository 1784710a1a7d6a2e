//! Requests to an operation: from the right one, each with one thing changed.

use std::time::Duration;

use reqwest::{
    Client, Method,
    header::{HeaderName, HeaderValue},
};
use serde_json::{Value, json};

use super::{
    fields::{bounds, fields, with_text},
    ground::Ground,
    random::Random,
};
use crate::{
    harness::{Answer, Caller},
    surface::{contract::schema, operations::Operation},
};

#[derive(Clone)]
pub struct Request {
    /// As it is sent, with its query.
    path: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Option<Vec<u8>>,
    /// Whether it may be for another address than the operation's.
    pub is_astray: bool,
}

/// A request that waits for something is given up after this time.
const PATIENCE: Duration = Duration::from_secs(1);
/// Any other; a machine with much to do is no fault.
const LONGEST: Duration = Duration::from_secs(25);

/// JSON that is not JSON, or is more than a field is made for.
const NASTY_VALUES: [&str; 34] = [
    "\"\"",
    "\" \"",
    "\"a\\u0000b\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\ufffe\\uffff\"",
    "\"\\u202e\\u2066\\u0007\\u001b[2J\"",
    "\"\\u2028\\u0085\"",
    "\"\u{1f600}\u{300}\u{300}\"",
    "\"' OR '1'='1'; --\"",
    "\"%00%s%n{}$(id)\"",
    "\"../../../etc/passwd\"",
    "\"<script>\"",
    "1e400",
    "-1e400",
    "1e-400",
    "-0",
    "-0.0",
    "0.1",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "\"0000-01-01T00:00:00Z\"",
    "\"9999-12-31T23:59:59.999999999Z\"",
    "\"+262142-12-31T23:59:59Z\"",
    "\"-262143-01-01T00:00:00Z\"",
    "\"2016-12-31T23:59:60Z\"",
    "{\"a\": 1, \"a\": 2}",
    "[null]",
    "true",
    "NaN",
];
/// Bodies as wholes.
const NASTY_BODIES: [&[u8]; 14] = [
    b"",
    b" ",
    b"null",
    b"[]",
    b"\"\"",
    b"{",
    b"{}",
    b"{}{}",
    b"{\"\": 1}",
    b"{\"\\u0000\": \"\\u0000\"}",
    b"{\"a\": \"\xff\xfe\"}",
    b"\xef\xbb\xbf{}",
    b"\0",
    b"a=b&c=d",
];
/// Values of parameters, as they are sent.
const NASTY_PARAMETERS: [&str; 26] = [
    "",
    "%00",
    "%0A",
    "%FF%FE",
    "%ED%A0%80",
    "%2F..%2F",
    "%E2%80%AE",
    "%",
    "%zz",
    "+",
    "-1",
    "0",
    "1.0",
    "1e3",
    "0x10",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775809",
    "null",
    "%27%20OR%201%3D1--",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:59.999999999Z",
    "%2B262142-12-31T23:59:59Z",
    "-262143-01-01T00:00:00Z",
    "2016-12-31T23:59:60Z",
    "a:b=c",
];
const NASTY_IDS: [&str; 13] = [
    "%00",
    "%FF",
    "%2F",
    "..%2F..",
    "%2e%2e",
    "'%20OR%20true--",
    "00000000-0000-0000-0000-000000000000",
    "ffffffff-ffff-ffff-ffff-ffffffffffff",
    "%7B0198c0de-0000-7000-8000-000000000001%7D",
    "platform",
    "%D0%B0cme",
    "a--b",
    "%F0%9F%98%80",
];
const NASTY_HEADERS: [(&str, &[u8]); 44] = [
    ("if-match", b""),
    ("if-match", b"*"),
    ("if-match", b"\"v1\""),
    ("if-match", b"W/\"v1\""),
    ("if-match", b"\"v9223372036854775808\""),
    ("if-match", b"\""),
    ("if-match", b", ,"),
    ("if-match", b"\"\xff\""),
    ("if-none-match", b"*"),
    ("idempotency-key", b""),
    ("idempotency-key", b"a b"),
    ("idempotency-key", b"\xc3\xa9"),
    ("idempotency-key", b"the same"),
    ("idempotency-key", b"once-and-again"),
    ("accept", b""),
    ("accept", b"*/*"),
    ("accept", b"text/event-stream"),
    ("accept", b"text/event-stream;q=0"),
    ("accept", b"application/xml"),
    ("accept", b"\xff"),
    ("accept", b"application/json;q=nine"),
    ("accept-encoding", b"gzip, br;q=2"),
    ("accept-language", b"*;q=x"),
    ("last-event-id", b""),
    ("last-event-id", b"-1"),
    ("last-event-id", b"1"),
    ("last-event-id", b"9223372036854775807"),
    ("last-event-id", b"9223372036854775808"),
    ("last-event-id", b"one"),
    ("last-event-id", b"\xff"),
    ("range", b"bytes=0-0"),
    ("range", b"bytes=-9223372036854775808"),
    ("content-type", b""),
    ("content-type", b"text/plain"),
    ("content-type", b"application/json; charset=utf-16"),
    ("content-type", b"application/merge-patch+json"),
    ("content-type", b"multipart/form-data; boundary="),
    ("content-type", b"\xff"),
    ("content-encoding", b"gzip"),
    ("cookie", b"=; ;;a"),
    ("x-forwarded-for", b"unknown, \xff, 127.0.0.1"),
    ("x-http-method-override", b"DELETE"),
    ("traceparent", b"00-\xff"),
    ("user-agent", b"\xff\xfe\x80"),
];

impl Request {
    /// What the operation is for.
    pub fn right(ground: &Ground, operation: &Operation, path: &str) -> Self {
        let body = ground.body(operation);
        Self {
            path: path.to_owned(),
            headers: Vec::new(),
            body: body.map(|body| body.to_string().into_bytes()),
            is_astray: false,
        }
    }

    fn with_body(&self, body: impl Into<Vec<u8>>) -> Self {
        Self {
            body: Some(body.into()),
            ..self.clone()
        }
    }

    fn with_query(&self, query: &str) -> Self {
        Self {
            path: format!("{}?{query}", self.path),
            ..self.clone()
        }
    }

    fn with_header(&self, name: &'static str, value: &[u8]) -> Self {
        let mut changed = self.clone();
        changed.headers.push((name, value.to_vec()));
        changed
    }

    /// Sends it. Absent = nothing came in time. Of an answer that goes on nothing but the head is read.
    pub async fn send(&self, client: &Client, caller: &Caller, method: Method) -> Option<Answer> {
        let mut request = client.request(method, format!("{}{}", caller.base, self.path));
        if let Some(key) = &caller.key {
            request = request.bearer_auth(key);
        }
        let is_given = |wanted: &str| self.headers.iter().any(|(name, _)| *name == wanted);
        if !is_given("accept") {
            request = request.header("accept", "application/json");
        }
        if self.body.is_some() && !is_given("content-type") {
            request = request.header("content-type", "application/json");
        }
        for (name, value) in &self.headers {
            let value = HeaderValue::from_bytes(value).unwrap();
            request = request.header(HeaderName::from_static(name), value);
        }
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        let patience = if self.waits() { PATIENCE } else { LONGEST };
        let response = tokio::time::timeout(patience, request.send()).await.ok()?;
        let response = response.unwrap_or_else(|error| panic!("{}: {error:?}", self.told()));
        let (status, headers) = (response.status(), response.headers().clone());
        let is_stream = headers
            .get("content-type")
            .is_some_and(|kind| kind == "text/event-stream");
        let text = if is_stream {
            String::new()
        } else {
            response.text().await.unwrap()
        };
        let json = serde_json::from_str(&text).unwrap_or(Value::Null);
        Some(Answer {
            status,
            headers,
            text,
            json,
        })
    }

    /// Whether it may take its time.
    pub fn waits(&self) -> bool {
        self.path.contains("wait=")
    }

    /// Whether it has this text in it, which then may come back.
    pub fn holds(&self, text: &str) -> bool {
        let body = self.body.as_deref().map(String::from_utf8_lossy);
        body.is_some_and(|body| body.contains(text)) || self.path.contains(text)
    }

    /// In a line.
    pub fn told(&self) -> String {
        let short = |text: String| text.chars().take(200).collect::<String>();
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| format!("{name}: {}", value.escape_ascii()));
        let headers = headers.collect::<Vec<_>>().join(", ");
        let body = self
            .body
            .as_ref()
            .map(|body| short(body.escape_ascii().to_string()));
        format!(
            "{} [{}] {}",
            short(self.path.clone()),
            short(headers),
            body.unwrap_or_else(|| "no body".to_owned())
        )
    }
}

/// Every request that is made by rule, with what chance adds.
pub fn of(ground: &Ground, operation: &Operation, path: &str, random: &mut Random) -> Vec<Request> {
    let right = Request::right(ground, operation, path);
    let mut all = Vec::new();
    bodies(ground, operation, &right, random, &mut all);
    parameters(ground, operation, &right, random, &mut all);
    for (name, value) in NASTY_HEADERS {
        all.push(right.with_header(name, value));
    }
    for name in ["if-match", "idempotency-key", "last-event-id", "accept"] {
        all.push(right.with_header(name, &[b'a'; 5_000]));
        all.push(right.with_header(name, b"1").with_header(name, b"2"));
    }
    let mut astray = Vec::new();
    for id in NASTY_IDS
        .into_iter()
        .map(str::to_owned)
        .chain(["a".repeat(3_000), String::new()])
    {
        let parts: Vec<&str> = path.split('/').collect();
        let described: Vec<&str> = operation.path.split('/').collect();
        let named: Vec<usize> = (0..parts.len())
            .filter(|place| described[*place].starts_with('{'))
            .collect();
        if named.is_empty() {
            continue;
        }
        let mut parts: Vec<String> = parts.into_iter().map(str::to_owned).collect();
        parts[*random.one_of(&named)] = id;
        astray.push(Request {
            path: parts.join("/"),
            is_astray: true,
            ..right.clone()
        });
    }
    all.extend(astray);
    all
}

fn bodies(
    ground: &Ground,
    operation: &Operation,
    right: &Request,
    random: &mut Random,
    all: &mut Vec<Request>,
) {
    for body in NASTY_BODIES {
        all.push(right.with_body(body));
    }
    all.push(right.with_body(vec![b' '; 1024 * 1024 + 1]));
    for deep in ["[", "{\"a\":"] {
        all.push(right.with_body(deep.repeat(50_000)));
    }
    let (Some(schema), Some(body)) = (ground.schema(operation), ground.body(operation)) else {
        return;
    };
    let text = body.to_string();
    all.push(right.with_body(text.replacen('{', "{\"surprise\": 1, ", 1)));
    all.push(right.with_body(&text.as_bytes()[..text.len() - 1]));
    for field in fields(&ground.document, schema) {
        for bound in bounds(&ground.document, &field.schema) {
            all.push(right.with_body(with_text(&body, &field.way, &bound.text)));
        }
        for _ in 0..4 {
            let nasty = random.one_of(&NASTY_VALUES);
            all.push(right.with_body(with_text(&body, &field.way, nasty)));
        }
        let huge = match random.below(4) {
            0 => json!("x".repeat(100_000)).to_string(),
            1 => format!("{}1{}", "[".repeat(100), "]".repeat(100)),
            2 => json!(vec![""; 20_000]).to_string(),
            _ => format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33)),
        };
        all.push(right.with_body(with_text(&body, &field.way, &huge)));
    }
    for (name, value) in body.as_object().into_iter().flatten() {
        let mut without = body.clone();
        without.as_object_mut().unwrap().remove(name);
        all.push(right.with_body(without.to_string()));
        let again = format!("{{{}: {value}, ", json!(name));
        all.push(right.with_body(text.replacen('{', &again, 1)));
    }
}

fn parameters(
    ground: &Ground,
    operation: &Operation,
    right: &Request,
    random: &mut Random,
    all: &mut Vec<Request>,
) {
    for query in ["surprise=1", "", "&&&", "=", "a[]=1&a[]=2"] {
        all.push(right.with_query(query));
    }
    all.push(right.with_query(&format!("page_token={}", "a".repeat(20_000))));
    let described = schema::described(&ground.document, &operation.name);
    for parameter in described["parameters"].as_array().into_iter().flatten() {
        if parameter["in"] != "query" {
            continue;
        }
        let name = parameter["name"].as_str().unwrap();
        for bound in bounds(&ground.document, &parameter["schema"]) {
            let value: Value = serde_json::from_str(&bound.text).unwrap_or(json!(bound.text));
            let value = value
                .as_str()
                .map_or_else(|| value.to_string(), str::to_owned);
            let encoded = value.bytes().map(|byte| format!("%{byte:02X}"));
            let encoded = encoded.collect::<Vec<_>>().concat();
            all.push(right.with_query(&format!("{name}={encoded}")));
        }
        for _ in 0..6 {
            let nasty = random.one_of(&NASTY_PARAMETERS);
            all.push(right.with_query(&format!("{name}={nasty}")));
        }
        all.push(right.with_query(&format!("{name}=1&{name}=2")));
    }
}
