//! How a test wants its stack, and the connections that come of it.

use std::{str::FromStr, time::Duration};

use sqlx::{ConnectOptions, postgres::PgConnectOptions};
use unity_api::{AddressLimit, ApiOptions};
use unity_shared::{
    clock::Clock,
    config::{Network, Secret},
    db::{Database, DatabaseUrls, PoolSettings},
    queue::{Gate, GateSettings, ShardId},
};

use super::servers;

pub const SECRET_KEY: &str = "a-secret-key-for-tests-of-32-characters-or-more";
pub const PREFIX: &str = "test";
/// Connections of each pool of a process.
pub const POOL: u32 = 8;

/// How a test wants its stack.
#[derive(Clone)]
pub struct StackOptions {
    pub workers: u32,
    pub concurrency: u32,
    pub scheduler: bool,
    pub lease: Duration,
    pub clock: Clock,
    /// How long a deleted tenant can be restored.
    pub tenant_grace: Duration,
    /// Other URLs than the servers' own, for tests that take them away.
    pub database_at: Option<std::net::SocketAddr>,
    pub redis_at: Option<std::net::SocketAddr>,
    /// The API's address in links; without one where it listens.
    pub public_url: Option<String>,
    /// The mail server; without one mails are written into a folder that nobody looks into.
    pub smtp_url: Option<String>,
    pub trusted_proxies: Vec<Network>,
    /// Tests refuse a great many requests, all of them from here.
    pub address_limit: AddressLimit,
    pub rate_limits: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            workers: 1,
            concurrency: 8,
            scheduler: true,
            lease: Duration::from_secs(6),
            clock: Clock::system(),
            tenant_grace: Duration::from_hours(30 * 24),
            database_at: None,
            redis_at: None,
            public_url: None,
            smtp_url: None,
            trusted_proxies: Vec::new(),
            address_limit: AddressLimit {
                per_second: 100_000,
                burst: 100_000,
            },
            rate_limits: true,
        }
    }
}

impl StackOptions {
    /// Nothing moves but by the test's hand: no worker, no scheduler.
    pub fn still() -> Self {
        Self {
            workers: 0,
            scheduler: false,
            ..Self::default()
        }
    }
}

async fn urls(name: &str, options: &StackOptions) -> DatabaseUrls {
    let servers = servers().await;
    let through = |url: String| match options.database_at {
        Some(addr) => PgConnectOptions::from_str(&url)
            .unwrap()
            .host(&addr.ip().to_string())
            .port(addr.port())
            .to_url_lossy()
            .to_string(),
        None => url,
    };
    DatabaseUrls {
        app: through(servers.app_url(name)),
        platform: through(servers.platform_url(name)),
    }
}

/// Connects to the database as one more process does.
pub async fn connect_database(name: &str, options: &StackOptions) -> Database {
    // Tests that take the database away want to hear of it soon; for all others a machine with
    // much to do is no failure.
    let patience = if options.database_at.is_some() { 2 } else { 20 };
    let pools = PoolSettings {
        max_connections: POOL,
        acquire_timeout: Duration::from_secs(patience),
    };
    Database::connect(&urls(name, options).await, pools)
        .await
        .unwrap()
}

pub async fn connect_gate(name: &str, options: &StackOptions) -> Gate {
    let mut url = servers().await.redis_url();
    if let Some(addr) = options.redis_at {
        let (head, _) = url.rsplit_once('@').unwrap();
        url = format!("{head}@{addr}/0");
    }
    let settings = GateSettings {
        prefix: format!("{PREFIX}{name}"),
        shard: ShardId::FIRST,
        lease: options.lease,
    };
    Gate::connect(&url, settings, options.clock.clone())
        .await
        .unwrap()
}

pub fn api_options(options: &StackOptions, api_url: &str) -> ApiOptions {
    let public_url = options.public_url.clone();
    ApiOptions {
        probe_jobs: true,
        secret_key: Secret::new(SECRET_KEY),
        tenant_grace: options.tenant_grace,
        public_url: Some(public_url.unwrap_or_else(|| api_url.to_owned())),
        loopback_providers: true,
        rate_limits: options.rate_limits,
        address_limit: options.address_limit,
        trusted_proxies: options.trusted_proxies.clone(),
    }
}
