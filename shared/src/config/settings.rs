//! Every setting of every process, in one place.
//!
//! The environment variable of a setting is its name in capitals behind `UNITY_`; its key in the
//! TOML file is the name itself.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use figment::{
    Figment,
    providers::{Env, Format, Serialized, Toml},
};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Network, Secret};
use crate::fleet::is_pool_name;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The settings in force.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// PostgreSQL as a member of `unity_app`: all that happens on behalf of one tenant.
    pub database_url: Option<Secret>,
    /// PostgreSQL as a member of the duty roles: what must cross tenants.
    pub platform_database_url: Option<Secret>,
    /// PostgreSQL as the owner of the schema. Only `unity migrate` and `unity keys` use it.
    pub owner_database_url: Option<Secret>,
    /// Most connections of each pool, 1 to 1000. A process has some more beside them: a worker three, an API up
    /// to six, the leading scheduler one.
    pub database_connections: u32,
    /// Redis.
    pub redis_url: Option<Secret>,
    /// Text before every Redis key, so that several installations can share a server.
    pub redis_prefix: String,
    /// At least 32 characters, the same for every process. Signs page tokens and makes the tokens
    /// that are sent by mail.
    pub secret_key: Option<Secret>,
    /// The API's address as its users write it, for links in mails. Absent: mails have the code alone.
    pub public_url: Option<String>,
    /// Whether identity providers may be on this very machine, and without TLS. For development and
    /// tests: with it, a tenant can have the API call what listens here.
    #[serde(deserialize_with = "bool_or_digit")]
    pub loopback_providers: bool,
    /// The mail server: `smtps://user:password@host`, or `smtp://user:password@host:587?tls=required`.
    pub smtp_url: Option<Secret>,
    /// A folder that mails are written into, one file each, instead of being sent.
    pub mail_folder: Option<PathBuf>,
    /// Whom mails are from: an address, or `Name <address>`.
    pub mail_from: Option<String>,
    /// Where the API listens.
    pub listen: SocketAddr,
    /// Proxies in front of the API, as addresses or ranges separated by commas or as a list: where
    /// they say a request comes from (`X-Forwarded-For`) is believed. Empty: nobody is.
    #[serde(deserialize_with = "networks")]
    pub trusted_proxies: Vec<Network>,
    /// Whether calls are counted and limited. Off only to measure what that costs.
    #[serde(deserialize_with = "bool_or_digit")]
    pub rate_limits: bool,
    /// Requests a second that one source address may make without a valid credential, 1 to 1 000 000.
    pub address_requests_per_second: u32,
    /// How many of them at once after it was quiet, 1 to 1 000 000.
    pub address_requests_burst: u32,
    /// Where `/healthz`, `/readyz` and `/metrics` are. Port 0 = a free one.
    pub ops_listen: SocketAddr,
    /// The cluster's kubeconfig file. Absent: the pod's own service account, in a cluster.
    pub kubeconfig: Option<PathBuf>,
    /// The context in it. Absent: its current one.
    pub kube_context: Option<String>,
    /// The pool that a worker process belongs to: the name under which operators set it.
    pub pool: String,
    /// The queue that a worker process consumes. Absent: the one of its pool's name if there is such a
    /// queue, else `default`.
    pub queue: Option<String>,
    /// The kinds of jobs that a worker process takes, separated by commas or as a list. Empty: every
    /// kind of its queue.
    #[serde(deserialize_with = "comma_separated")]
    pub worker_kinds: Vec<String>,
    /// Jobs that a worker process runs at once, 1 to 10 000.
    pub concurrency: u32,
    /// How long a job stays a vanished worker's before another may have it, 2 to 3600 seconds. A
    /// worker renews three times within it.
    pub lease_seconds: u64,
    /// How long a stopping process may take to finish what it has begun, in seconds, before it hands
    /// the rest back.
    pub drain_seconds: u64,
    /// How long a deleted tenant can be restored before it is purged, in seconds, from 1 to ten years.
    pub tenant_grace_seconds: u64,
    /// Whether jobs of kind `probe` may be started.
    #[serde(deserialize_with = "bool_or_digit")]
    pub probe_jobs: bool,
    /// How log lines are written.
    pub log_format: LogFormat,
    /// Which log lines are written, as `tracing` filters.
    pub log: String,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file given by `--config` cannot be read.
    #[error("could not read the settings file {}", path.display())]
    File {
        /// Its path.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A value is missing its shape, or a name is unknown.
    #[error("could not read the settings: {0}")]
    Read(Box<figment::Error>),
    /// A value has the right shape and makes no sense.
    #[error("the setting {name} {problem}")]
    Value {
        /// The setting.
        name: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A setting without a default is needed.
    #[error(
        "the setting {name} is missing: set {variable}, or {name} in the file given by --config"
    )]
    Missing {
        /// The setting.
        name: &'static str,
        /// Its environment variable.
        variable: String,
    },
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            database_url: None,
            platform_database_url: None,
            owner_database_url: None,
            database_connections: 10,
            redis_url: None,
            redis_prefix: "unity".to_owned(),
            secret_key: None,
            public_url: None,
            loopback_providers: false,
            smtp_url: None,
            mail_folder: None,
            mail_from: None,
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            trusted_proxies: Vec::new(),
            rate_limits: true,
            address_requests_per_second: 50,
            address_requests_burst: 1000,
            ops_listen: SocketAddr::from(([127, 0, 0, 1], 9090)),
            kubeconfig: None,
            kube_context: None,
            pool: "default".to_owned(),
            queue: None,
            worker_kinds: Vec::new(),
            concurrency: 10,
            lease_seconds: 6,
            drain_seconds: 25,
            tenant_grace_seconds: 30 * 24 * 3600,
            probe_jobs: false,
            log_format: LogFormat::Text,
            log: "info,sqlx=warn,apalis_core=warn,apalis_redis=warn".to_owned(),
        }
    }
}

impl Settings {
    /// Reads the settings: `flags` win over the environment, that over `file`, that over defaults.
    /// Flags that were not given must be absent from `flags`.
    pub fn read(
        file: Option<PathBuf>,
        flags: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, SettingsError> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        if let Some(path) = file {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| SettingsError::File { path, source })?;
            figment = figment.merge(Toml::string(&text));
        }
        let settings: Self = figment
            // The prefix serves other programs too (tests, servers): only our own names are taken.
            .merge(Env::prefixed("UNITY_").filter(|name| is_setting(name.as_str())))
            .merge(Serialized::defaults(flags))
            .extract()
            .map_err(|error| SettingsError::Read(Box::new(error)))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let refuse = |name, problem| Err(SettingsError::Value { name, problem });
        if !(1..=1000).contains(&self.database_connections) {
            return refuse("database_connections", "must be between 1 and 1000");
        }
        if !is_pool_name(&self.pool) {
            return refuse(
                "pool",
                "must be 1 to 63 lower-case letters, digits, - and _, with a letter or digit at both ends",
            );
        }
        if !(1..=10_000).contains(&self.concurrency) {
            return refuse("concurrency", "must be between 1 and 10000");
        }
        for (name, value) in [
            (
                "address_requests_per_second",
                self.address_requests_per_second,
            ),
            ("address_requests_burst", self.address_requests_burst),
        ] {
            if !(1..=1_000_000).contains(&value) {
                return refuse(name, "must be between 1 and 1000000");
            }
        }
        if !(2..=3600).contains(&self.lease_seconds) {
            return refuse("lease_seconds", "must be between 2 and 3600");
        }
        if !(1..=315_360_000).contains(&self.tenant_grace_seconds) {
            return refuse("tenant_grace_seconds", "must be between 1 and 315360000");
        }
        if self
            .secret_key
            .as_ref()
            .is_some_and(|key| key.reveal().len() < 32)
        {
            return refuse("secret_key", "must have at least 32 characters");
        }
        if self.smtp_url.is_some() && self.mail_folder.is_some() {
            return refuse("mail_folder", "must not be set together with smtp_url");
        }
        let sends = self.smtp_url.is_some() || self.mail_folder.is_some();
        if sends && self.mail_from.is_none() {
            return refuse("mail_from", "must be set where mails are sent");
        }
        let is_address = |url: &String| url.starts_with("https://") || url.starts_with("http://");
        if self.public_url.as_ref().is_some_and(|url| !is_address(url)) {
            return refuse("public_url", "must begin with https:// or http://");
        }
        if self.redis_prefix.is_empty() || self.redis_prefix.contains(['{', '}', ' ']) {
            return refuse(
                "redis_prefix",
                "must not be empty nor hold braces or spaces",
            );
        }
        Ok(())
    }

    /// The lease as a duration.
    #[must_use]
    pub const fn lease(&self) -> Duration {
        Duration::from_secs(self.lease_seconds)
    }

    /// The grace period of a deleted tenant as a duration.
    #[must_use]
    pub const fn tenant_grace(&self) -> Duration {
        Duration::from_secs(self.tenant_grace_seconds)
    }

    /// A setting that this process cannot do without.
    pub fn require<'a>(
        name: &'static str,
        value: Option<&'a Secret>,
    ) -> Result<&'a Secret, SettingsError> {
        value.ok_or_else(|| SettingsError::Missing {
            name,
            variable: format!("UNITY_{}", name.to_uppercase()),
        })
    }
}

fn is_setting(name: &str) -> bool {
    serde_json::to_value(Settings::default())
        .ok()
        .and_then(|value| {
            value
                .as_object()
                .map(|fields| fields.contains_key(&name.to_lowercase()))
        })
        .unwrap_or(false)
}

/// `UNITY_PROBE_JOBS=1` is how operators write it; a file says `true`.
fn bool_or_digit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        Bool(bool),
        Digit(u8),
    }
    match Either::deserialize(deserializer)? {
        Either::Bool(value) => Ok(value),
        Either::Digit(0) => Ok(false),
        Either::Digit(1) => Ok(true),
        Either::Digit(_) => Err(serde::de::Error::custom("must be 0, 1, true or false")),
    }
}

/// A variable holds one text, a file may hold a list.
fn comma_separated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Either {
        List(Vec<String>),
        Text(String),
    }
    let names = match Either::deserialize(deserializer)? {
        Either::List(names) => names,
        Either::Text(text) => text.split(',').map(str::to_owned).collect(),
    };
    let names = names.iter().map(|name| name.trim().to_owned());
    Ok(names.filter(|name| !name.is_empty()).collect())
}

fn networks<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Network>, D::Error> {
    let read = |text: &String| text.parse().map_err(serde::de::Error::custom);
    comma_separated(deserializer)?.iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flags(json: &serde_json::Value) -> serde_json::Map<String, serde_json::Value> {
        json.as_object().cloned().unwrap()
    }

    #[test]
    fn a_flag_wins_over_the_default() {
        let settings =
            Settings::read(None, &flags(&serde_json::json!({"concurrency": 3}))).unwrap();
        assert_eq!(settings.concurrency, 3);
        assert_eq!(settings.pool, "default");
    }

    #[test]
    fn a_senseless_value_is_refused_by_name() {
        let error =
            Settings::read(None, &flags(&serde_json::json!({"lease_seconds": 0}))).unwrap_err();
        assert!(matches!(
            error,
            SettingsError::Value {
                name: "lease_seconds",
                ..
            }
        ));
    }

    #[test]
    fn probe_jobs_are_switched_on_by_a_digit_or_a_word() {
        for on in [serde_json::json!(1), serde_json::json!(true)] {
            let read =
                Settings::read(None, &flags(&serde_json::json!({"probe_jobs": on}))).unwrap();
            assert!(read.probe_jobs);
        }
    }

    #[test]
    fn kinds_are_a_list_or_separated_by_commas() {
        for kinds in [serde_json::json!("a, b,"), serde_json::json!(["a", "b"])] {
            let read =
                Settings::read(None, &flags(&serde_json::json!({"worker_kinds": kinds}))).unwrap();
            assert_eq!(read.worker_kinds, ["a", "b"]);
        }
    }

    #[test]
    fn proxies_are_addresses_or_ranges() {
        let read = |proxies| {
            Settings::read(
                None,
                &flags(&serde_json::json!({"trusted_proxies": proxies})),
            )
        };
        assert_eq!(read("10.0.0.0/8, ::1").unwrap().trusted_proxies.len(), 2);
        assert!(read("proxy.example").is_err());
    }

    #[test]
    fn secrets_are_masked_when_printed() {
        let read = Settings::read(
            None,
            &flags(&serde_json::json!({"redis_url": "redis://:hunter2@localhost"})),
        )
        .unwrap();
        assert!(!serde_json::to_string(&read).unwrap().contains("hunter2"));
        assert!(!format!("{read:?}").contains("hunter2"));
    }
}
