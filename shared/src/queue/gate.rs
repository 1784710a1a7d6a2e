//! The handle on one shard's gate: its connection, its keys, and how a script is called.
//!
//! The operations are in `work` (a worker's), `upkeep` (what keeps it in step with the rows), `rules`
//! (limits and switches) and `view` (what operators and tenants may know).

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncCommands, Client, IntoConnectionInfo as _, RedisError, Script, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
    io::tcp::socket2::TcpKeepalive,
};

use super::{ReadyQueueKeys, ShardId, WakeListener, scripts::Scripts};
use crate::clock::Clock;

/// Redis did not do what was asked. Every operation of the gate may be repeated, and whatever is
/// lost on the way is mended from the rows.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// The URL is wrong or nobody answers there.
    #[error("could not connect to Redis")]
    Connect(#[source] RedisError),
    /// A call failed.
    #[error("the gate could not {operation}")]
    Call {
        /// What was being tried.
        operation: &'static str,
        /// The driver's error.
        #[source]
        source: RedisError,
    },
    /// Redis answered with something that is not ours.
    #[error("the gate answered nonsense to {operation}: {detail}")]
    Answer {
        /// What was being tried.
        operation: &'static str,
        /// What is wrong with the answer.
        detail: String,
    },
}

/// How long the gate's promises last.
#[derive(Debug, Clone)]
pub struct GateSettings {
    /// Text before every key, so that several installations can share a Redis.
    pub prefix: String,
    /// Which shard this Redis is.
    pub shard: ShardId,
    /// Lease of a slot, from admission to claim and from one heartbeat to the next.
    pub lease: Duration,
}

/// Handle on one shard's gate. Clones share the connection.
#[derive(Clone)]
pub struct Gate {
    client: Client,
    pub(super) connection: ConnectionManager,
    pub(super) scripts: Arc<Scripts>,
    pub(super) settings: Arc<GateSettings>,
    pub(super) clock: Clock,
}

/// A call that takes longer has failed: the caller tries again, and Redis runs a script in
/// microseconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a connection is silent before the peer is asked whether it is there; half of it until it is asked
/// again. A vanished one is noticed after three times as long.
const KEEPALIVE: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 4;

impl Gate {
    /// Connects to the Redis at `url`.
    pub async fn connect(
        url: &str,
        settings: GateSettings,
        clock: Clock,
    ) -> Result<Self, GateError> {
        let client = client_of(url).map_err(GateError::Connect)?;
        let connection = connect(&client).await?;
        let scripts = Arc::new(Scripts::new());
        Ok(Self {
            client,
            connection,
            scripts,
            settings: Arc::new(settings),
            clock,
        })
    }

    /// A connection for apalis-redis, which speaks to the ready list itself.
    #[must_use]
    pub fn connection(&self) -> ConnectionManager {
        self.connection.clone()
    }

    /// The shard that this gate decides for.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.settings.shard
    }

    /// How long a slot lives without a sign of its worker's life.
    #[must_use]
    pub fn lease(&self) -> Duration {
        self.settings.lease
    }

    /// Where apalis-redis keeps the ready list of `queue`.
    #[must_use]
    pub fn ready_queue(&self, queue: &str) -> ReadyQueueKeys {
        ReadyQueueKeys {
            name: self.key(&format!("queue:{queue}")),
        }
    }

    /// Listens for admissions to `queue`.
    #[must_use]
    pub fn listen_for_work(&self, queue: &str) -> WakeListener {
        WakeListener::start(self.client.clone(), self.key(&format!("wake:{queue}")))
    }

    /// Listens for jobs of which there is news; each message is read by [`Told::read_all`].
    ///
    /// [`Told::read_all`]: super::Told::read_all
    #[must_use]
    pub fn listen_for_news(&self) -> WakeListener {
        WakeListener::start(self.client.clone(), self.key("told"))
    }

    /// Listens for jobs that somebody wants to be ended while they run; each message is a job id.
    #[must_use]
    pub fn listen_for_cancels(&self) -> WakeListener {
        WakeListener::start(self.client.clone(), self.key("cancel"))
    }

    /// Listens for pools that an operator has set; each message is a pool's name.
    #[must_use]
    pub fn listen_for_pools(&self) -> WakeListener {
        WakeListener::start(self.client.clone(), self.key("pools"))
    }

    /// Tells the workers of a pool that it was set. A message that is lost is made good by their next
    /// heartbeat.
    pub async fn announce_pool(&self, pool: &str) -> Result<(), GateError> {
        self.connection
            .clone()
            .publish(self.key("pools"), pool)
            .await
            .map_err(GateError::call("tell workers of their pool"))
    }

    /// The epoch under which admission is open; absent = the gate is closed and wants a refill.
    pub async fn epoch(&self) -> Result<Option<i64>, GateError> {
        self.connection
            .clone()
            .get(self.key("epoch"))
            .await
            .map_err(GateError::call("read the epoch"))
    }

    /// Sends Redis the scripts of a job's way through a worker, so that the first need not wait for it.
    /// Whoever calls one that Redis does not have sends it.
    pub async fn load_scripts(&self) -> Result<(), GateError> {
        for script in [&self.scripts.claim, &self.scripts.settle] {
            script
                .prepare_invoke()
                .load_async(&mut self.connection.clone())
                .await
                .map_err(GateError::call("take the scripts"))?;
        }
        Ok(())
    }

    /// Asks Redis for an answer.
    pub async fn ping(&self) -> Result<(), GateError> {
        redis::cmd("PING")
            .exec_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("reach Redis"))
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{}:{}:{name}", self.settings.prefix, self.settings.shard)
    }

    /// A call of a script, with what every script is told.
    pub(super) fn begin<'a>(&self, script: &'a Script) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.arg(self.key(""))
            .arg(self.clock.now().timestamp_millis())
            .arg(millis(self.settings.lease));
        call
    }

    pub(super) async fn invoke<T: redis::FromRedisValue>(
        &self,
        operation: &'static str,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, GateError> {
        call.invoke_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call(operation))
    }
}

impl GateError {
    pub(super) fn call(operation: &'static str) -> impl FnOnce(RedisError) -> Self {
        move |source| Self::Call { operation, source }
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A client whose connections send each call at once, and notice a peer that has vanished.
///
/// By itself it would wait for the answer to a call before it sends the next one (Nagle's algorithm, RFC 896),
/// on a connection that many callers share.
fn client_of(url: &str) -> Result<Client, RedisError> {
    let info = url.into_connection_info()?;
    let tcp = info.tcp_settings().clone();
    Client::open(info.set_tcp_settings(tcp.set_nodelay(true).set_keepalive(keepalive())))
}

/// A subscription sends nothing: without this, one whose connection was forgotten on the way (by a firewall,
/// say) would hear nothing for ever.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(KEEPALIVE)
        .with_interval(KEEPALIVE / 2)
        .with_retries(KEEPALIVE_RETRIES)
}

async fn connect(client: &Client) -> Result<ConnectionManager, GateError> {
    let config = ConnectionManagerConfig::new()
        .set_response_timeout(Some(RESPONSE_TIMEOUT))
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_number_of_retries(2)
        .set_max_delay(Duration::from_millis(500));
    // The manager's own first connection retries for a long time; a start should fail at once.
    client
        .get_multiplexed_async_connection()
        .await
        .map_err(GateError::Connect)?;
    ConnectionManager::new_with_config(client.clone(), config)
        .await
        .map_err(GateError::Connect)
}
