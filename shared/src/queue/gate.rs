//! The gate's operations, each one call to Redis.

use std::{sync::Arc, time::Duration};

use redis::{
    AsyncCommands, Client, RedisError, ScriptInvocation,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use super::{
    Offer, ReadyQueueKeys, Running, ShardId, WakeListener, offer::limit_text, scripts::Scripts,
};
use crate::{
    clock::Clock,
    ids::{JobId, TenantId, WorkerId},
    tenancy::JobLimits,
};

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

/// A worker's sign of life.
#[derive(Debug)]
pub struct Beat<'a> {
    /// The worker.
    pub worker: WorkerId,
    /// The queue that it consumes.
    pub queue: &'a str,
    /// How many jobs it can hold at once; 0 = takes no more.
    pub capacity: u32,
    /// Jobs that it works on.
    pub claims: &'a [Offer],
}

/// Answer to a claim.
#[derive(Debug)]
pub struct Claims {
    /// The epoch under which the jobs were admitted; absent = the gate is closed.
    pub epoch: Option<i64>,
    /// The jobs that the worker may now claim in the database.
    pub admitted: Vec<(TenantId, JobId)>,
    /// Ids that were stale copies.
    pub refused: usize,
}

/// Handle on one shard's gate. Clones share the connection.
#[derive(Clone)]
pub struct Gate {
    client: Client,
    connection: ConnectionManager,
    scripts: Arc<Scripts>,
    settings: Arc<GateSettings>,
    clock: Clock,
}

/// A call that takes longer has failed: the caller tries again, and Redis runs a script in
/// microseconds.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(3);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

impl Gate {
    /// Connects to the Redis at `url`.
    pub async fn connect(
        url: &str,
        settings: GateSettings,
        clock: Clock,
    ) -> Result<Self, GateError> {
        let client = Client::open(url).map_err(GateError::Connect)?;
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

    /// Where apalis-redis keeps the ready list of `queue`.
    #[must_use]
    pub fn ready_queue(&self, queue: &str) -> ReadyQueueKeys {
        ReadyQueueKeys {
            name: format!("{}queue:{queue}", self.prefix()),
        }
    }

    /// Listens for admissions to `queue`.
    #[must_use]
    pub fn listen_for_work(&self, queue: &str) -> WakeListener {
        WakeListener::start(
            self.client.clone(),
            format!("{}wake:{queue}", self.prefix()),
        )
    }

    /// Listens for jobs of which there is news; each message is read by [`Told::read`].
    ///
    /// [`Told::read`]: super::Told::read
    #[must_use]
    pub fn listen_for_news(&self) -> WakeListener {
        WakeListener::start(self.client.clone(), self.news_channel())
    }

    /// Takes queued jobs into the waiting lists and admits what may run. A job that the gate knows
    /// already is left as it is. Answers how many were new.
    pub async fn offer(&self, offers: &[Offer]) -> Result<usize, GateError> {
        if offers.is_empty() {
            return Ok(0);
        }
        let mut call = self.scripts.offer.prepare_invoke();
        self.begin(&mut call);
        for offer in offers {
            call.arg(offer.id.to_string())
                .arg(offer.info())
                .arg(offer.limit_text());
        }
        self.invoke("offer jobs", &call).await
    }

    /// Takes fetched ids for `worker`, where their slot is live and nobody has them.
    pub async fn claim(
        &self,
        worker: WorkerId,
        queue: &str,
        ids: &[JobId],
    ) -> Result<Claims, GateError> {
        const OPERATION: &str = "claim jobs";
        let mut call = self.scripts.claim.prepare_invoke();
        self.begin(&mut call);
        call.arg(worker.to_string()).arg(queue);
        for id in ids {
            call.arg(id.to_string());
        }
        let answer: Vec<String> = self.invoke(OPERATION, &call).await?;
        let (epoch, tenants) = answer.split_first().ok_or_else(|| GateError::Answer {
            operation: OPERATION,
            detail: "it is empty".to_owned(),
        })?;
        let admitted: Vec<(TenantId, JobId)> = tenants
            .iter()
            .zip(ids)
            .filter_map(|(tenant, id)| Some((TenantId::parse(tenant).ok()?, *id)))
            .collect();
        let refused = ids.len() - admitted.len();
        Ok(Claims {
            epoch: epoch.parse().ok(),
            admitted,
            refused,
        })
    }

    /// Frees the slots of jobs that `worker` is done with and admits the next.
    pub async fn settle(
        &self,
        worker: WorkerId,
        queue: &str,
        ids: &[JobId],
    ) -> Result<usize, GateError> {
        let mut call = self.scripts.settle.prepare_invoke();
        self.begin(&mut call);
        call.arg(worker.to_string()).arg(queue);
        for id in ids {
            call.arg(id.to_string());
        }
        self.invoke("settle jobs", &call).await
    }

    /// Renews a worker's registration and the slots of its jobs. Answers the jobs that belong to
    /// another worker now.
    pub async fn beat(&self, beat: &Beat<'_>) -> Result<Vec<JobId>, GateError> {
        let mut call = self.scripts.beat.prepare_invoke();
        self.begin(&mut call);
        call.arg(beat.worker.to_string())
            .arg(beat.queue)
            .arg(beat.capacity)
            .arg(millis(self.settings.lease));
        for claim in beat.claims {
            call.arg(claim.id.to_string()).arg(claim.info());
        }
        let lost: Vec<String> = self.invoke("renew leases", &call).await?;
        Ok(lost.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Takes a worker out of the fleet; ids that it fetched but never claimed are forgotten.
    pub async fn leave(&self, worker: WorkerId, queue: &str) -> Result<(), GateError> {
        let mut call = self.scripts.leave.prepare_invoke();
        self.begin(&mut call);
        call.arg(worker.to_string()).arg(queue);
        let _: i64 = self.invoke("leave the fleet", &call).await?;
        Ok(())
    }

    /// Makes room for the worker's name in the ready queue's own list, so that it can register
    /// again. Its claims stay; what it fetched and did not claim is forgotten.
    pub async fn rejoin(&self, worker: WorkerId, queue: &str) -> Result<(), GateError> {
        let mut call = self.scripts.rejoin.prepare_invoke();
        self.begin(&mut call);
        call.arg(worker.to_string()).arg(queue);
        let _: i64 = self.invoke("rejoin the ready queue", &call).await?;
        Ok(())
    }

    /// Frees slots and registrations that nobody renewed. Answers how many slots were freed.
    pub async fn reap(&self, queues: &[&str]) -> Result<usize, GateError> {
        let mut call = self.scripts.reap.prepare_invoke();
        self.begin(&mut call);
        for queue in queues {
            call.arg(queue);
        }
        self.invoke("reap expired leases", &call).await
    }

    /// Slots of `queue` that end within `soon` unless somebody renews them, at most 1000.
    pub async fn expiring(&self, queue: &str, soon: Duration) -> Result<Vec<JobId>, GateError> {
        let until = self.clock.now() + soon;
        let ids: Vec<String> = self
            .connection
            .clone()
            .zrangebyscore_limit(
                format!("{}admitted:{queue}", self.prefix()),
                "-inf",
                until.timestamp_millis(),
                0,
                1000,
            )
            .await
            .map_err(|source| GateError::Call {
                operation: "look for expiring slots",
                source,
            })?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Extends slots whose jobs still run by their rows. Never shortens one.
    pub async fn extend(&self, running: &[Running]) -> Result<(), GateError> {
        if running.is_empty() {
            return Ok(());
        }
        let mut call = self.scripts.extend.prepare_invoke();
        self.begin(&mut call);
        for job in running {
            call.arg(job.offer.id.to_string())
                .arg(job.lease_expires_at.timestamp_millis());
        }
        let _: i64 = self.invoke("extend slots", &call).await?;
        Ok(())
    }

    /// Sets tenants' limits. Lowering one ends no job.
    pub async fn set_limits(&self, limits: &[(TenantId, JobLimits)]) -> Result<(), GateError> {
        if limits.is_empty() {
            return Ok(());
        }
        let mut call = self.scripts.set_limits.prepare_invoke();
        self.begin(&mut call);
        for (tenant, limit) in limits {
            call.arg(tenant.as_str()).arg(limit_text(*limit));
        }
        let _: i64 = self.invoke("set limits", &call).await?;
        Ok(())
    }

    /// Which of these jobs the gate does not know.
    pub async fn unknown(&self, ids: &[JobId]) -> Result<Vec<JobId>, GateError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(format!("{}jobs", self.prefix()));
        for id in ids {
            command.arg(id.to_string());
        }
        let known: Vec<Option<String>> = command
            .query_async(&mut self.connection.clone())
            .await
            .map_err(|source| GateError::Call {
                operation: "look jobs up",
                source,
            })?;
        Ok(ids
            .iter()
            .zip(known)
            .filter(|(_, text)| text.is_none())
            .map(|(id, _)| *id)
            .collect())
    }

    /// The epoch under which admission is open; absent = the gate is closed and wants a refill.
    pub async fn epoch(&self) -> Result<Option<i64>, GateError> {
        self.connection
            .clone()
            .get(format!("{}epoch", self.prefix()))
            .await
            .map_err(|source| GateError::Call {
                operation: "read the epoch",
                source,
            })
    }

    /// Closes admission until [`Gate::open`].
    pub(super) async fn close(&self) -> Result<(), GateError> {
        self.connection
            .clone()
            .del(format!("{}epoch", self.prefix()))
            .await
            .map_err(|source| GateError::Call {
                operation: "close admission",
                source,
            })
    }

    /// Writes the slots of running jobs back; with an epoch, opens admission.
    pub(super) async fn open(
        &self,
        epoch: Option<i64>,
        running: &[Running],
    ) -> Result<(), GateError> {
        let mut call = self.scripts.open.prepare_invoke();
        self.begin(&mut call);
        call.arg(epoch.map(|epoch| epoch.to_string()).unwrap_or_default());
        for job in running {
            call.arg(job.offer.id.to_string())
                .arg(job.offer.info())
                .arg(job.worker_id.to_string())
                .arg(job.lease_expires_at.timestamp_millis());
        }
        let _: i64 = self.invoke("open admission", &call).await?;
        Ok(())
    }

    /// Asks Redis for an answer.
    pub async fn ping(&self) -> Result<(), GateError> {
        redis::cmd("PING")
            .exec_async(&mut self.connection.clone())
            .await
            .map_err(|source| GateError::Call {
                operation: "reach Redis",
                source,
            })
    }

    pub(super) fn news_channel(&self) -> String {
        format!("{}told", self.prefix())
    }

    fn prefix(&self) -> String {
        format!("{}:{}:", self.settings.prefix, self.settings.shard)
    }

    fn begin(&self, call: &mut ScriptInvocation<'_>) {
        call.arg(self.prefix())
            .arg(self.clock.now().timestamp_millis())
            .arg(millis(self.settings.lease));
    }

    async fn invoke<T: redis::FromRedisValue>(
        &self,
        operation: &'static str,
        call: &ScriptInvocation<'_>,
    ) -> Result<T, GateError> {
        call.invoke_async(&mut self.connection.clone())
            .await
            .map_err(|source| GateError::Call { operation, source })
    }
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
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
