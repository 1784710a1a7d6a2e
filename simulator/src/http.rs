//! HTTP around the handlers: credentials, body limits, the form and headers of responses.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::{Query as QueryString, State};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WARNING};
use http::{HeaderMap, HeaderValue, StatusCode};
use serde_json::Value;

use crate::answer::{Answer, Reply};
use crate::present::{self, Form};
use crate::request::{Query, Request};
use crate::server::App;
use crate::status::Failure;
use crate::{authenticate, handle, watch};

/// Largest body that is read.
const BODY_LIMIT_BYTES: usize = 3 * 1024 * 1024;

/// Answers one HTTP request.
pub async fn serve(State(app): State<Arc<App>>, incoming: axum::extract::Request) -> Response {
    match read(incoming).await {
        Ok((request, credential)) => respond(&app, &request, credential.as_deref()),
        Err(failure) => refuse(&failure),
    }
}

async fn read(incoming: axum::extract::Request) -> Result<(Request, Option<String>), Failure> {
    let (parts, body) = incoming.into_parts();
    let body = to_bytes(body, BODY_LIMIT_BYTES)
        .await
        .map_err(|_| Failure::too_large())?;
    let query = QueryString::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|error| Failure::bad_request(error.to_string()))?;
    let credential = credential(&parts.headers);
    let request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: Query(query.0),
        headers: parts.headers,
        body,
    };
    Ok((request, credential))
}

/// The bearer token, or the password that clients take from a URL such as
/// `http://user:password@host`.
fn credential(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, rest) = value.split_once(' ')?;
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(rest.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
    pair.split_once(':')
        .map(|(_, password)| password.to_owned())
}

fn respond(app: &Arc<App>, request: &Request, credential: Option<&str>) -> Response {
    app.log().record(request.method.as_str(), &request.path);
    let form = present::negotiate(&request.headers, request.query.get("includeObject"));
    let reply = form.and_then(|form| {
        let reply = app.write(|cluster| {
            let now = (cluster.environment.now)();
            let caller = authenticate::caller(&cluster.store, credential, app.token(), now)?;
            let identity = authenticate::impersonate(&cluster.store, caller, request)?;
            handle::answer(cluster, request, &identity, app.token())
        })?;
        Ok((form, reply))
    });
    match reply {
        Ok((form, reply)) => render(app, form, reply),
        Err(failure) => refuse(&failure),
    }
}

fn refuse(failure: &Failure) -> Response {
    json_response(failure.code, "application/json", &failure.to_status())
}

fn render(app: &Arc<App>, form: Form, reply: Reply) -> Response {
    let now = app.now();
    let mut response = match reply.answer {
        Answer::Object {
            code,
            resource,
            object,
        } => {
            let body = present::object(&form, resource, &object, now);
            json_response(code, "application/json", &body)
        }
        Answer::List(page) => {
            json_response(200, "application/json", &present::page(&form, &page, now))
        }
        Answer::Document { content_type, body } => json_response(200, content_type, &body),
        Answer::Text(text) => plain(200, "text/plain; charset=utf-8", Body::from(text)),
        Answer::Watch(request) => {
            let lines = watch::stream(Arc::clone(app), *request, form);
            plain(200, "application/json", Body::from_stream(lines))
        }
    };
    for warning in reply.warnings {
        let text = warning.replace('\\', "\\\\").replace('"', "\\\"");
        if let Ok(value) = HeaderValue::from_str(&format!("299 - \"{text}\"")) {
            response.headers_mut().append(WARNING, value);
        }
    }
    response
}

fn json_response(code: u16, content_type: &'static str, body: &Value) -> Response {
    let mut text = body.to_string();
    text.push('\n');
    plain(code, content_type, Body::from(text))
}

fn plain(code: u16, content_type: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() =
        StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_is_a_bearer_token_or_a_password() {
        let of = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, HeaderValue::from_static(value));
            credential(&headers)
        };
        assert_eq!(of("Bearer abc").as_deref(), Some("abc"));
        // "admin:abc"
        assert_eq!(of("Basic YWRtaW46YWJj").as_deref(), Some("abc"));
        assert_eq!(of("Digest abc"), None);
        assert_eq!(credential(&HeaderMap::new()), None);
    }
}
