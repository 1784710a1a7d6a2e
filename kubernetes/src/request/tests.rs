//! What each answer, and each failure to answer, becomes.

use std::{sync::Mutex, time::Duration};

use http::{Request, Response, StatusCode};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::{Client, Config, client::Body};
use serde_json::json;
use tower::service_fn;

use crate::{ClusterClient, RequestError};

/// A client whose every request is answered with this.
fn answering(
    status: u16,
    headers: &'static [(&'static str, &'static str)],
    body: impl Into<String>,
) -> ClusterClient {
    let body: String = body.into();
    let service = service_fn(move |_request: Request<Body>| {
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response.body(Body::from(body.clone().into_bytes()));
        async move { response }
    });
    ClusterClient::new(Client::new(service, "default"), Duration::from_secs(10))
}

fn status(code: u16, reason: &str, details: &serde_json::Value) -> String {
    let message = format!("{reason} says the server");
    json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "code": code, "reason": reason, "message": message, "details": details,
    })
    .to_string()
}

async fn apply_against(client: &ClusterClient) -> RequestError {
    let mut config_map = ConfigMap::default();
    config_map.metadata.name = Some("card".to_owned());
    config_map.metadata.namespace = Some("tenant-acme".to_owned());
    match client.apply(&config_map).await {
        Ok(applied) => unreachable!("{applied:?}"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn each_refusal_has_its_code_and_says_whether_to_try_again() {
    let none = json!({});
    let terminating = json!({"causes": [{"reason": "NamespaceTerminating", "message": "x"}]});
    let owned = json!({"causes": [{"reason": "FieldManagerConflict", "field": ".data"}]});
    let missing = json!({"kind": "namespaces", "name": "tenant-acme"});
    let other = json!({"kind": "configmaps", "name": "card"});
    for (code, reason, details, expected, retryable) in [
        (400, "BadRequest", &none, "cluster.refused", false),
        (401, "Unauthorized", &none, "cluster.unauthorized", false),
        (403, "Forbidden", &none, "cluster.forbidden", false),
        (
            403,
            "Forbidden",
            &terminating,
            "namespace.terminating",
            true,
        ),
        (404, "NotFound", &missing, "namespace.missing", true),
        (404, "NotFound", &other, "cluster.not_found", false),
        (408, "Timeout", &none, "cluster.unavailable", true),
        (409, "Conflict", &owned, "object.field_owned", false),
        (409, "Conflict", &none, "object.conflict", true),
        (409, "AlreadyExists", &none, "object.conflict", true),
        (415, "UnsupportedMediaType", &none, "cluster.refused", false),
        (422, "Invalid", &none, "object.invalid", false),
        (429, "TooManyRequests", &none, "cluster.throttled", true),
        (500, "InternalError", &none, "cluster.unavailable", true),
        (
            503,
            "ServiceUnavailable",
            &none,
            "cluster.unavailable",
            true,
        ),
        (504, "Timeout", &none, "cluster.unavailable", true),
    ] {
        let client = answering(code, &[], status(code, reason, details));
        let error = apply_against(&client).await;
        assert_eq!(
            (error.code(), error.retryable()),
            (expected, retryable),
            "{code} {error:?}"
        );
    }
}

#[tokio::test]
async fn a_throttling_server_says_when_to_come_back() {
    // The form in which an overloaded API server answers: a header, and text that is no `Status`.
    let error = apply_against(&answering(
        429,
        &[("retry-after", "7")],
        "Too many requests",
    ))
    .await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));

    let body = status(503, "ServiceUnavailable", &json!({"retryAfterSeconds": 3}));
    let error = apply_against(&answering(503, &[], body)).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(3)));

    let error = apply_against(&answering(429, &[("retry-after", "99999999")], "")).await;
    assert_eq!(error.retry_after(), Some(Duration::from_mins(10)));

    let error = apply_against(&answering(429, &[("retry-after", "tomorrow")], "")).await;
    assert_eq!((error.retry_after(), error.retryable()), (None, true));
}

#[tokio::test]
async fn a_page_of_a_proxy_is_not_quoted() {
    let error = apply_against(&answering(502, &[], "<html>token=hush-hush</html>")).await;
    assert_eq!(error.code(), "cluster.unavailable");
    assert!(!format!("{error} {error:?}").contains("hush-hush"));
}

#[tokio::test]
async fn the_servers_words_are_one_bounded_line() {
    let body = json!({"kind": "Status", "message": format!("first\nsecond {}", "x".repeat(999))});
    let error = apply_against(&answering(403, &[], body.to_string())).await;
    let RequestError::Forbidden { message } = error else {
        unreachable!("{error:?}")
    };
    assert!(message.starts_with("first second x"));
    assert_eq!(message.chars().count(), 300);
}

#[tokio::test]
async fn reading_what_is_not_there_is_no_error() {
    let details = json!({"kind": "configmaps", "name": "card"});
    let client = answering(404, &[], status(404, "NotFound", &details));
    assert_eq!(
        client
            .get::<ConfigMap>(Some("tenant-acme"), "card")
            .await
            .unwrap(),
        None
    );
    let mut gone = Namespace::default();
    gone.metadata.name = Some("tenant-acme".to_owned());
    assert!(client.delete(&gone).await.is_ok());
}

#[tokio::test]
async fn a_success_that_is_no_object_is_unreadable() {
    let error = apply_against(&answering(200, &[], "<html>welcome</html>")).await;
    assert_eq!(
        (error.code(), error.retryable()),
        ("cluster.unreadable", false)
    );
}

#[tokio::test]
async fn the_version_shows_that_an_api_server_answers() {
    let version = json!({"major": "1", "minor": "33", "gitVersion": "v1.33.2"}).to_string();
    assert_eq!(
        answering(200, &[], version).check().await.unwrap(),
        "v1.33.2"
    );
    assert!(answering(200, &[], "{}").check().await.is_err());
}

#[tokio::test]
async fn a_refused_connection_is_worth_another_try() {
    // A port that was free a moment ago and that nobody listens on.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);

    let mut config = Config::new(format!("http://{address}").parse().unwrap());
    config.default_retry = false;
    let client = Client::try_from(config).unwrap();
    let error = apply_against(&ClusterClient::new(client, Duration::from_secs(10))).await;
    assert_eq!(
        (error.code(), error.retryable()),
        ("cluster.unreachable", true)
    );
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up() {
    let service = service_fn(|_request: Request<Body>| {
        std::future::pending::<Result<Response<Body>, kube::Error>>()
    });
    let client = ClusterClient::new(Client::new(service, "default"), Duration::from_millis(20));
    let error = apply_against(&client).await;
    assert_eq!((error.code(), error.retryable()), ("cluster.timeout", true));
}

#[tokio::test]
async fn an_object_is_applied_by_a_plain_patch_that_says_who_owns_the_fields() {
    static SEEN: Mutex<Option<(String, String, String)>> = Mutex::new(None);
    let service = service_fn(|request: Request<Body>| async move {
        let content_type = request.headers()["content-type"]
            .to_str()
            .unwrap()
            .to_owned();
        let seen = (
            request.method().to_string(),
            request.uri().to_string(),
            content_type,
        );
        *SEEN.lock().unwrap() = Some(seen);
        Response::builder()
            .status(StatusCode::OK)
            .body(Body::from(b"{}".to_vec()))
    });
    let client = ClusterClient::new(Client::new(service, "default"), Duration::from_secs(10));
    let mut namespace = Namespace::default();
    namespace.metadata.name = Some("tenant-acme".to_owned());
    let _answer = client.apply(&namespace).await;

    let (method, uri, content_type) = SEEN.lock().unwrap().take().unwrap();
    assert_eq!(
        (method.as_str(), content_type.as_str()),
        ("PATCH", "application/apply-patch+yaml")
    );
    let (path, query) = uri.split_once('?').unwrap();
    assert_eq!(path, "/api/v1/namespaces/tenant-acme");
    let mut parameters: Vec<&str> = query.split('&').filter(|part| !part.is_empty()).collect();
    parameters.sort_unstable();
    assert_eq!(parameters, ["fieldManager=unity-controller", "force=true"]);
}
