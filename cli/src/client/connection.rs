//! Where the API is, with which key it is called, and what it answers.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Client, Method, Url};
use serde_json::Value;

use super::table::line;
use crate::dev::DevRecord;

/// Flags of every command that speaks to the API.
#[derive(Debug, Clone, clap::Args)]
pub struct ClientFlags {
    /// The API's base URL, for example `http://127.0.0.1:8080`.
    #[arg(long, global = true, value_name = "URL", env = "UNITY_API_URL")]
    api_url: Option<String>,
    /// The API key. The variable is better: others can see the flags of a process.
    #[arg(
        long,
        global = true,
        value_name = "KEY",
        env = "UNITY_API_KEY",
        hide_env_values = true
    )]
    api_key: Option<String>,
    /// Takes what is not said from the `dev.json` that `unity dev` wrote into this folder: the API and a key, or the
    /// settings of what speaks to the servers itself.
    #[arg(long, global = true, value_name = "DIR")]
    dev_data_dir: Option<PathBuf>,
    /// Prints what the API said instead of a table.
    #[arg(long, global = true)]
    json: bool,
}

/// Whose key of a development stack a command needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    /// The system administrator's.
    Admin,
    /// The demo tenant's, or the administrator's where there is none.
    Demo,
}

/// The API, and how its answers are shown.
#[derive(Debug)]
pub(super) struct Api {
    client: Client,
    base: Url,
    key: Option<String>,
    json: bool,
}

/// A long poll is answered within half a minute.
const TIMEOUT: Duration = Duration::from_mins(1);

impl ClientFlags {
    /// What the flags and the environment say, or what is missing.
    pub(super) fn connect(&self, whose: Whose) -> Result<Api> {
        let record = self.record()?;
        let key = self
            .api_key
            .clone()
            .or_else(|| record.as_ref().map(|record| key_of(record, whose)))
            .context("no API key: set UNITY_API_KEY, or say --dev-data-dir .unity")?;
        self.open(record.as_ref(), Some(key))
    }

    /// The same for what needs no key: none is sent.
    pub(super) fn connect_without_key(&self) -> Result<Api> {
        self.open(self.record()?.as_ref(), None)
    }

    /// The file with the settings of the development stack, for what speaks to its servers and not to its API.
    pub(crate) fn dev_settings(&self) -> Result<Option<PathBuf>> {
        Ok(self.record()?.map(|record| record.config))
    }

    fn record(&self) -> Result<Option<DevRecord>> {
        self.dev_data_dir.as_deref().map(read_record).transpose()
    }

    fn open(&self, record: Option<&DevRecord>, key: Option<String>) -> Result<Api> {
        let url = self
            .api_url
            .clone()
            .or_else(|| record.map(|record| record.api_url.clone()))
            .context(
                "where is the API? say --api-url URL, set UNITY_API_URL, or say --dev-data-dir .unity",
            )?;
        let base = Url::parse(&url)
            .ok()
            .filter(|url| !url.cannot_be_a_base())
            .with_context(|| format!("{url:?} is no URL of an API"))?;
        Ok(Api {
            client: Client::builder().timeout(TIMEOUT).build()?,
            base,
            key,
            json: self.json,
        })
    }
}

fn read_record(folder: &Path) -> Result<DevRecord> {
    let path = folder.join("dev.json");
    let text = fs::read_to_string(&path)
        .with_context(|| format!("could not read {} (is unity dev running?)", path.display()))?;
    serde_json::from_str(&text).with_context(|| format!("{} is not ours", path.display()))
}

fn key_of(record: &DevRecord, whose: Whose) -> String {
    match (&record.demo, whose) {
        (Some(demo), Whose::Demo) => demo.api_key.clone(),
        (_, Whose::Admin) | (None, Whose::Demo) => record.admin_api_key.clone(),
    }
}

impl Api {
    /// The answer to a GET.
    pub(super) async fn get(&self, path: &[&str], query: &[(&str, String)]) -> Result<Value> {
        self.call(Method::GET, path, query, None, &[]).await
    }

    /// The answer to a request with a body.
    pub(super) async fn send(&self, method: Method, path: &[&str], body: &Value) -> Result<Value> {
        self.call(method, path, &[], Some(body), &[]).await
    }

    /// The answer to a request that says all it has to say by its address.
    pub(super) async fn call_without_body(&self, method: Method, path: &[&str]) -> Result<Value> {
        self.call(method, path, &[], None, &[]).await
    }

    /// The answer to a POST that has its effect once, however often it is repeated with this key.
    pub(super) async fn post_once(
        &self,
        path: &[&str],
        body: &Value,
        idempotency_key: Option<&str>,
    ) -> Result<Value> {
        let header = idempotency_key.map(|key| ("idempotency-key", key));
        self.call(Method::POST, path, &[], Some(body), header.as_slice())
            .await
    }

    /// The answer to a change of one version of an object; of any version where no `ETag` is named.
    pub(super) async fn send_if_match(
        &self,
        method: Method,
        path: &[&str],
        body: Option<&Value>,
        etag: Option<&str>,
    ) -> Result<Value> {
        let header = etag.map(|etag| ("if-match", etag));
        self.call(method, path, &[], body, header.as_slice()).await
    }

    /// Prints the answer itself with `--json`, else what `table` makes of it.
    pub(super) fn show(&self, answer: &Value, table: impl FnOnce(&Value)) {
        if self.json {
            line(&format!("{answer:#}"));
        } else {
            table(answer);
        }
    }

    async fn call(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, String)],
        body: Option<&Value>,
        headers: &[(&str, &str)],
    ) -> Result<Value> {
        let mut request = self.client.request(method, self.url(path, query)?);
        if let Some(key) = &self.key {
            request = request.bearer_auth(key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request
            .send()
            .await
            .with_context(|| format!("no answer from the API at {}", self.base))?;
        let status = answer.status();
        let text = answer.text().await.context("the API's answer broke off")?;
        if text.is_empty() && status.is_success() {
            return Ok(Value::Null);
        }
        let body: Value = serde_json::from_str(&text).map_err(|_| {
            anyhow!(
                "{} answered {status} and no JSON: is it the API?",
                self.base
            )
        })?;
        if status.is_success() {
            Ok(body)
        } else {
            bail!("{}", problem_text(&body, status.as_u16()))
        }
    }

    fn url(&self, path: &[&str], query: &[(&str, String)]) -> Result<Url> {
        let mut url = self.base.clone();
        url.path_segments_mut()
            .map_err(|()| anyhow!("{} is no URL of an API", self.base))?
            .pop_if_empty()
            .extend(["api", "v1"])
            .extend(path);
        if !query.is_empty() {
            url.query_pairs_mut()
                .extend_pairs(query.iter().map(|(name, value)| (*name, value)));
        }
        Ok(url)
    }
}

/// A problem in one line: what is wrong, where, and under which names it is found.
fn problem_text(problem: &Value, status: u16) -> String {
    let text = |field: &str| problem.get(field).and_then(Value::as_str);
    let detail = text("detail").unwrap_or("the API refused the request");
    let faults = problem.get("errors").and_then(Value::as_array);
    let faults: Vec<String> = faults
        .into_iter()
        .flatten()
        .map(|fault| {
            let part = |field: &str| fault.get(field).and_then(Value::as_str).unwrap_or_default();
            format!("; {}: {}", part("pointer"), part("detail"))
        })
        .collect();
    let code = text("code").map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let request = text("request_id").map_or_else(String::new, |id| format!(", request_id {id}"));
    format!("{detail}{} (code {code}{request})", faults.concat())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_problem_is_one_line_with_its_code_places_and_request() {
        let problem = json!({
            "detail": "no", "code": "validation.failed", "request_id": "r",
            "errors": [{ "pointer": "/priority", "code": "range", "detail": "must be from 0 to 9" }],
        });
        assert_eq!(
            problem_text(&problem, 422),
            "no; /priority: must be from 0 to 9 (code validation.failed, request_id r)"
        );
        assert_eq!(
            problem_text(&json!({}), 502),
            "the API refused the request (code HTTP 502)"
        );
    }

    #[test]
    fn a_path_is_put_behind_the_base_and_cannot_leave_it() {
        let api = Api {
            client: Client::new(),
            base: Url::parse("http://localhost:8080/unity/").unwrap(),
            key: None,
            json: false,
        };
        let url = api
            .url(&["jobs", "../tenants?x"], &[("a", "b c".to_owned())])
            .unwrap();
        assert_eq!(
            url.as_str(),
            "http://localhost:8080/unity/api/v1/jobs/..%2Ftenants%3Fx?a=b+c"
        );
    }
}
