//! Bodies that are not what a route takes, before any value is looked at.

use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{JOBS, Quiet, Refusal, TENANTS, Who, probe, tenant};

const LIMIT: usize = 1024 * 1024;

const MALFORMED: &[&[u8]] = &[
    b"",
    b" ",
    b"{",
    b"{]}",
    b"{\"kind\": }",
    b"{\"kind\": \"probe\",}",
    b"{\"kind\" \"probe\"}",
    b"{'kind': 'probe'}",
    b"kind=probe&payload=",
    b"{} {}",
    b"{}x",
    b"\xef\xbb\xbf{}",
    b"{\"kind\": \"\xff\"}",
    b"{\"kind\": \"\\ud800\"}",
    b"{\"kind\": \"a\nb\"}",
    b"{\"kind\": NaN}",
    b"{\"kind\": 1e999}",
    b"[]",
    b"[{}]",
    b"null",
    b"true",
    b"17",
    b"\"text\"",
    b"\0",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_the_json_of_its_route_is_refused() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for (who, path) in [(Who::Member, JOBS), (Who::System, TENANTS)] {
        let malformed = MALFORMED.iter().map(|body| body.to_vec());
        let deep = ["[", "{\"a\":", "{\"payload\":["].map(|part| part.repeat(50_000).into_bytes());
        for body in malformed.chain(deep) {
            refusals.push(Refusal::post(who, path, body, 400, "body.invalid"));
        }
        let refuse = |body: &str| Refusal::post(who, path, body, 400, "body.invalid");
        refusals.push(refuse("{\"surprise\": 1}").at("/surprise"));
        refusals.push(refuse("{\"name\": 1, \"kind\": 1}"));
        refusals.push(refuse("{}"));
        refusals.push(refuse(
            "{\"kind\": \"a\", \"kind\": \"b\", \"id\": \"a\", \"id\": \"b\"}",
        ));
    }
    let job = |body: String| Refusal::post(Who::Member, JOBS, body, 400, "body.invalid");
    refusals.push(job("{\"payload\": {}}".to_owned()));
    refusals.push(job("{\"kind\": \"probe\"}".to_owned()));
    for (field, value) in [
        ("kind", json!(1)),
        ("kind", json!(null)),
        ("priority", json!("5")),
        ("priority", json!(5.5)),
        ("priority", json!(u64::MAX)),
        ("timeout_seconds", json!("60")),
        ("timeout_seconds", json!(true)),
        ("max_attempts", json!([1])),
        ("delay_seconds", json!(0.5)),
        ("run_at", json!("tomorrow")),
        ("run_at", json!("2030-01-01")),
        ("run_at", json!(1_900_000_000)),
        ("resource_key", json!(7)),
        ("labels", json!([])),
        ("labels", json!("a=b")),
        ("tenant_id", json!("acme")),
        ("status", json!("succeeded")),
        ("id", json!("0198c0de-0000-7000-8000-000000000001")),
    ] {
        refusals.push(job(probe(field, &value)).at(&format!("/{field}")));
    }
    refusals.push(job(probe("labels", &json!({ "team": 1 }))).at("/labels/team"));
    let new = |field, value| {
        Refusal::post(
            Who::System,
            TENANTS,
            tenant(field, &value),
            400,
            "body.invalid",
        )
    };
    for (field, value) in [
        ("id", json!(1)),
        ("id", json!(["acme"])),
        ("name", json!(null)),
        ("plan", json!("platinum")),
        ("plan", json!("PRO")),
        ("resource_quota", json!("all")),
        ("resource_quota", json!([1])),
        ("admin_email", json!({})),
        ("status", json!("active")),
        ("uid", json!("0198c0de-0000-7000-8000-000000000001")),
        ("shard", json!(0)),
    ] {
        refusals.push(new(field, value).at(&format!("/{field}")));
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_another_content_type_is_refused() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for (who, path, body) in [
        (Who::Member, JOBS, probe("priority", &json!(1))),
        (Who::System, TENANTS, tenant("name", &json!("x"))),
    ] {
        let refuse = || Refusal::post(who, path, body.clone(), 415, "body.content_type");
        refusals.push(refuse().with_headers(&[]));
        for kind in [
            "",
            "text/plain",
            "text/plain; charset=utf-8",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/xml",
            "application/jsonp",
            "application/json; charset=latin1",
            "application/merge-patch+json",
            "*/*",
        ] {
            refusals.push(refuse().with_headers(&[("content-type", kind)]));
        }
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_over_one_mebibyte_is_refused_and_one_of_exactly_that_is_taken() {
    let mut quiet = Quiet::start().await;
    let before = quiet.rows().await;
    for (who, path) in [(Who::Member, JOBS), (Who::System, TENANTS)] {
        // Refused by its stated length before any of it has arrived, and by what has arrived where no
        // length is stated.
        let stated = format!("content-length: {}\r\n\r\n", LIMIT + 1);
        let unstated = format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n", LIMIT + 1);
        for (rest, body) in [(stated, Vec::new()), (unstated, padded("{}", LIMIT + 1))] {
            let answer = post_by_hand(&quiet, who, path, &rest, &body).await;
            assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
            assert!(answer.contains("application/problem+json"), "{answer}");
            assert!(answer.contains("\"code\":\"body.too_large\""), "{answer}");
        }
    }
    assert_eq!(quiet.rows().await, before);
    let exact = padded(&probe("priority", &json!(1)), LIMIT);
    let headers = [("content-type", "application/json")];
    quiet
        .member
        .send(Method::POST, JOBS, &headers, Some(exact))
        .await
        .expect(202);
    quiet.stop().await;
}

/// A server that closes on a client that is still sending takes the answer away from it: the client
/// sees a broken connection, and tries again.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_too_much_gets_to_read_why_it_is_refused() {
    let mut quiet = Quiet::start().await;
    let mut refusals = Vec::new();
    for _ in 0..10 {
        for (who, length, status, code) in [
            (Who::Member, LIMIT + 1, 413, "body.too_large"),
            (Who::Member, 3 * LIMIT, 413, "body.too_large"),
            (Who::Nobody, LIMIT, 401, "auth.required"),
            (Who::Viewer, LIMIT, 403, "role.insufficient"),
        ] {
            let body = padded("{}", length);
            refusals.push(Refusal::post(who, JOBS, body, status, code));
        }
    }
    quiet.refuses(refusals).await;
    quiet.stop().await;
}

/// The same JSON in so many bytes.
fn padded(body: &str, length: usize) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    bytes.resize(length, b' ');
    bytes
}

/// Sends a request whose head ends in `rest` and whose body may be unfinished, and answers all that
/// comes back until the server closes.
async fn post_by_hand(quiet: &Quiet, who: Who, path: &str, rest: &str, body: &[u8]) -> String {
    let caller = quiet.caller(who);
    let address = quiet.stack.api_url.strip_prefix("http://").unwrap();
    let key = caller.key.as_deref().unwrap();
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {key}\r\n\
         content-type: application/json\r\nconnection: close\r\n{rest}"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}
