//! One HTTP request, read: method, path, query, headers, body.

use bytes::Bytes;
use http::{HeaderMap, Method};
use serde_json::Value;

use crate::protobuf;
use crate::status::Failure;

const JSON: &str = "application/json";
const YAML: &str = "application/yaml";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// A request whose body has arrived.
#[derive(Debug)]
pub struct Request {
    /// HTTP method.
    pub method: Method,
    /// Path.
    pub path: String,
    /// Query parameters in order.
    pub query: Query,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

/// Query parameters.
#[derive(Debug, Default)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// The first value of a parameter; empty when it is missing.
    pub fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    /// All values of a parameter.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Whether a parameter is set to something true.
    pub fn is_set(&self, name: &str) -> bool {
        ["1", "true", "True", "t"].contains(&self.get(name))
    }

    /// The number that a parameter holds.
    ///
    /// # Errors
    /// 400 when it holds something else.
    pub fn number(&self, name: &str) -> Result<Option<u64>, Failure> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Failure::bad_request(format!("invalid value \"{text}\" of parameter {name}"))
            }),
        }
    }
}

impl Request {
    /// A header as text; empty when it is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// The media type of the body, without parameters; JSON when the client does not say.
    pub fn content_type(&self) -> &str {
        match self.header("content-type").split(';').next().map(str::trim) {
            None | Some("") => JSON,
            Some(other) => other,
        }
    }

    /// The body as JSON, YAML or protobuf.
    ///
    /// # Errors
    /// 415 for another format, 400 for a body that cannot be read.
    pub fn object(&self) -> Result<Value, Failure> {
        match self.content_type() {
            JSON | "*/*" => self.json(),
            YAML => self.yaml(),
            PROTOBUF => protobuf::decode(&self.body)
                .map_err(|error| Failure::bad_request(format!("couldn't decode body: {error}"))),
            other => {
                let accepted = [JSON, YAML, PROTOBUF].join(", ");
                Err(Failure::unsupported_media(other, &accepted))
            }
        }
    }

    /// The body, which must be JSON.
    ///
    /// # Errors
    /// 400 for a body that cannot be read.
    pub fn json(&self) -> Result<Value, Failure> {
        serde_json::from_slice(&self.body).map_err(|error| {
            Failure::bad_request(format!(
                "couldn't get version/kind; json parse error: {error}"
            ))
        })
    }

    /// The body, which must be YAML; JSON is YAML too.
    ///
    /// # Errors
    /// 400 for a body that cannot be read.
    pub fn yaml(&self) -> Result<Value, Failure> {
        serde_yaml_ng::from_slice(&self.body)
            .map_err(|error| Failure::bad_request(format!("error decoding YAML: {error}")))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn request(content_type: &'static str, body: &'static str) -> Request {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", HeaderValue::from_static(content_type));
        Request {
            method: Method::POST,
            path: "/".to_owned(),
            query: Query::default(),
            headers,
            body: Bytes::from_static(body.as_bytes()),
        }
    }

    #[test]
    fn bodies_may_be_json_yaml_or_protobuf_but_not_cbor() {
        assert!(
            request("application/json; charset=utf-8", "{}")
                .object()
                .is_ok()
        );
        assert!(request("application/yaml", "a: 1").object().is_ok());
        let protobuf = "k8s\0\n\x0f\n\x02v1\x12\tConfigMap";
        assert!(request(PROTOBUF, protobuf).object().is_ok());
        let refused = request("application/cbor", "x").object();
        assert_eq!(refused.expect_err("refused").code, 415);
        assert_eq!(request(JSON, "{").object().expect_err("refused").code, 400);
    }
}
