//! A pool of connections whose sessions all begin alike.

use std::time::Duration;

use futures::future::BoxFuture;
use sqlx::{
    AssertSqlSafe, Connection as _, PgPool, Postgres, Transaction,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use tokio::{runtime::Handle, sync::Semaphore};

use super::{Duty as _, Engine};

/// Sizes and limits of the pools.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most connections of each pool. Too few and requests queue for one; too many and
    /// PostgreSQL's own limit refuses other processes.
    pub max_connections: u32,
    /// How long a caller waits for a connection before it is told that the database is away; as long again
    /// where others open connections already.
    pub acquire_timeout: Duration,
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            max_connections: 10,
            acquire_timeout: Duration::from_secs(3),
        }
    }
}

/// When the sessions of a pool plan their statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plans {
    /// For the values at hand, as PostgreSQL does by itself.
    Each,
    /// Once, for any values: see [`LOOK_UP_BY_INDEX`].
    Once,
}

/// Connections of one login and role.
#[derive(Debug)]
pub(super) struct Pool {
    connections: PgPool,
    /// One for each connection that may be opened at the same time.
    openings: Semaphore,
}

/// No statement of ours takes this long; a stuck one must not hold a connection for ever.
const STATEMENT_TIMEOUT: &str = "30s";
/// What every session starts with. Some are there so that nobody can set them for the login as a whole
/// (`ALTER ROLE ... SET`, which each login may do to itself): what a connection asks for goes before it.
const EVERY_SESSION: [(&str, &str); 5] = [
    ("statement_timeout", STATEMENT_TIMEOUT),
    // Nothing here runs long enough to be worth compiling; a wrong estimate, or the cost that stands for
    // "off" below, would look so.
    ("jit", "off"),
    // Temporary objects come last: without this they would be found before the real ones.
    ("search_path", "public,pg_temp"),
    ("default_transaction_read_only", "off"),
    ("row_security", "on"),
];
/// For statements about many tenants: one of them that holds its rows is left out after so long, see
/// [`super::DbError::may_be_one_rows`]. Ours hold a row for as long as a commit takes.
const LOCK_TIMEOUT_OF_MANY: &str = "1s";
/// For sessions whose statements take arrays and look every row up by an index. Such a statement is
/// planned once: planning it anew costs as much as running it. A plan that was made while a table was
/// empty must not scan it when it is full, nor join all of it.
const LOOK_UP_BY_INDEX: [(&str, &str); 5] = [
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("enable_memoize", "off"),
];
/// How long an idle connection is taken for alive.
const TRUSTED_FOR: Duration = Duration::from_millis(500);

impl Pool {
    /// Connects to nothing yet.
    pub(super) fn open(
        options: &PgConnectOptions,
        role: Option<&str>,
        plans: Plans,
        settings: PoolSettings,
    ) -> Self {
        let by_index = plans == Plans::Once;
        let options = options
            .clone()
            .application_name("unity")
            .options(EVERY_SESSION)
            .options((role == Some(Engine::ROLE)).then_some(("lock_timeout", LOCK_TIMEOUT_OF_MANY)))
            .options(by_index.then_some(LOOK_UP_BY_INDEX).into_iter().flatten())
            .options(role.map(|role| ("role", role)));
        let connections = PgPoolOptions::new()
            .max_connections(settings.max_connections)
            .acquire_timeout(settings.acquire_timeout)
            .idle_timeout(Duration::from_mins(1))
            // A connection that was in use a moment ago is not asked again whether it lives: that would
            // cost every statement a round trip.
            .test_before_acquire(false)
            .before_acquire(|connection, meta| {
                Box::pin(async move {
                    if meta.idle_for < TRUSTED_FOR {
                        return Ok(true);
                    }
                    metrics::counter!("unity_database_pings_total").increment(1);
                    Ok(connection.ping().await.is_ok())
                })
            })
            .connect_lazy_with(options);
        Self {
            connections,
            openings: Semaphore::new(settings.max_connections as usize),
        }
    }

    /// A connection outside of a transaction.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<Postgres>, sqlx::Error> {
        self.take(Box::pin(self.connections.acquire())).await
    }

    /// A transaction at PostgreSQL's default isolation.
    pub(super) async fn begin(&self) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let connections = self.connections.clone();
        self.take(Box::pin(async move { connections.begin().await }))
            .await
    }

    /// A transaction that `statement` begins, which is sent as it is.
    pub(super) async fn begin_with(
        &self,
        statement: String,
    ) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
        let connections = self.connections.clone();
        self.take(Box::pin(async move {
            connections.begin_with(AssertSqlSafe(statement)).await
        }))
        .await
    }

    /// Closes all connections; what is asked for afterwards fails.
    pub(super) fn close(&self) -> impl Future<Output = ()> + '_ {
        self.connections.close()
    }

    /// Runs `taking`, which takes a connection: on a thread apart if it has to open one first.
    ///
    /// To prove a password, sqlx computes 4096 hashes and yields after every five. Each time, in the midst of
    /// a busy process, it waits for whatever else can run, which took longer than anybody waits for a
    /// connection. On a thread that has nothing else to do it takes some milliseconds.
    ///
    /// The future is on the heap because it is large: it would make every caller's so.
    async fn take<T: Send + 'static>(
        &self,
        taking: BoxFuture<'static, Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        if !self.has_to_open() {
            return taking.await;
        }
        let patience = self.connections.options().get_acquire_timeout();
        let _opening = tokio::time::timeout(patience, self.openings.acquire())
            .await
            .map_err(|_elapsed| sqlx::Error::PoolTimedOut)?
            .map_err(|_closed| sqlx::Error::PoolClosed)?;
        if !self.has_to_open() {
            return taking.await;
        }
        let runtime = Handle::current();
        match tokio::task::spawn_blocking(move || runtime.block_on(taking)).await {
            Ok(taken) => taken,
            Err(failed) => match failed.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The process ends.
                Err(_cancelled) => Err(sqlx::Error::PoolClosed),
            },
        }
    }

    /// A guess: others take and give back at the same time. Whoever was wrong opens a connection where it is,
    /// or waits for one on a thread apart.
    fn has_to_open(&self) -> bool {
        self.connections.num_idle() == 0
            && self.connections.size() < self.connections.options().get_max_connections()
    }
}
