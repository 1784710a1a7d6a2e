//! Connection pools, one for each role that a process acts in.

use std::{marker::PhantomData, str::FromStr, time::Duration};

use sqlx::{
    Connection as _, PgConnection, PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};

use super::{
    Authenticator, DbError, Duty, EachTenantTx, Engine, Issuer, Operator, PlatformTx, Purger,
    Registrar, TenantTx,
};
use crate::{clock::Clock, ids::TenantId};

/// The two logins of one installation.
#[derive(Debug, Clone)]
pub struct DatabaseUrls {
    /// A member of `unity_app`: all that happens on behalf of one tenant.
    pub app: String,
    /// A member of the duty roles: what must cross tenants.
    pub platform: String,
}

/// Sizes and limits of the pools.
#[derive(Debug, Clone, Copy)]
pub struct PoolSettings {
    /// Most connections of each pool. Too few and requests queue for one; too many and
    /// PostgreSQL's own limit refuses other processes.
    pub max_connections: u32,
    /// How long a caller waits for a connection before it is told that the database is away.
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

/// Handle on the database. Clones share the pools.
#[derive(Debug, Clone)]
pub struct Database {
    app: PgPool,
    each_tenant: PgPool,
    authenticator: PgPool,
    engine: PgPool,
    issuer: PgPool,
    operator: PgPool,
    purger: PgPool,
    registrar: PgPool,
}

/// One duty's pool, from which its transactions begin.
#[derive(Debug)]
pub struct PlatformPool<'a, D: Duty> {
    pool: &'a PgPool,
    duty: PhantomData<D>,
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
/// [`DbError::may_be_one_rows`]. Ours hold a row for as long as a commit takes.
const LOCK_TIMEOUT_OF_MANY: &str = "1s";

/// How often the database's clock is read to tell how far away it is.
const CLOCK_READINGS: usize = 8;
/// How long an idle connection is taken for alive.
const TRUSTED_FOR: Duration = Duration::from_millis(500);

impl Database {
    /// Opens the pools and checks that both logins work. No connection is kept idle for it.
    pub async fn connect(urls: &DatabaseUrls, settings: PoolSettings) -> Result<Self, DbError> {
        let app = PgConnectOptions::from_str(&urls.app)?;
        let platform = PgConnectOptions::from_str(&urls.platform)?;
        let database = Self {
            each_tenant: open_with(app.clone(), None, true, settings),
            app: open(app, None, settings),
            authenticator: open(platform.clone(), Some(Authenticator::ROLE), settings),
            engine: open(platform.clone(), Some(Engine::ROLE), settings),
            issuer: open(platform.clone(), Some(Issuer::ROLE), settings),
            operator: open(platform.clone(), Some(Operator::ROLE), settings),
            purger: open(platform.clone(), Some(Purger::ROLE), settings),
            registrar: open(platform, Some(Registrar::ROLE), settings),
        };
        for pool in [&database.app, &database.engine] {
            refuse_bypass(pool).await?;
        }
        Ok(database)
    }

    /// A transaction that sees and writes the rows of `tenant` only.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<TenantTx, DbError> {
        TenantTx::begin(&self.app, tenant.clone()).await
    }

    /// A session for reads of many tenants' rows at once, each in its tenant's name.
    pub async fn each_tenant(&self) -> Result<EachTenantTx, DbError> {
        EachTenantTx::begin(&self.each_tenant).await
    }

    /// Finds the owner of a key or session before a tenant is known.
    #[must_use]
    pub const fn authenticator(&self) -> PlatformPool<'_, Authenticator> {
        PlatformPool {
            pool: &self.authenticator,
            duty: PhantomData,
        }
    }

    /// The queue's own work across tenants.
    #[must_use]
    pub const fn engine(&self) -> PlatformPool<'_, Engine> {
        PlatformPool {
            pool: &self.engine,
            duty: PhantomData,
        }
    }

    /// Lets people in and out.
    #[must_use]
    pub const fn issuer(&self) -> PlatformPool<'_, Issuer> {
        PlatformPool {
            pool: &self.issuer,
            duty: PhantomData,
        }
    }

    /// What a system administrator does.
    #[must_use]
    pub const fn operator(&self) -> PlatformPool<'_, Operator> {
        PlatformPool {
            pool: &self.operator,
            duty: PhantomData,
        }
    }

    /// Lets people in.
    #[must_use]
    pub const fn registrar(&self) -> PlatformPool<'_, Registrar> {
        PlatformPool {
            pool: &self.registrar,
            duty: PhantomData,
        }
    }

    /// Takes a tenant's data away.
    #[must_use]
    pub const fn purger(&self) -> PlatformPool<'_, Purger> {
        PlatformPool {
            pool: &self.purger,
            duty: PhantomData,
        }
    }

    /// Asks the database for an answer.
    pub async fn ping(&self) -> Result<(), DbError> {
        sqlx::query("SELECT 1").execute(&self.engine).await?;
        Ok(())
    }

    /// Moves `clock` to the database's time, by the quickest of several answers: its travel time, halved,
    /// is what can be wrong.
    pub async fn align_clock(&self, clock: &Clock) -> Result<(), DbError> {
        let mut best = Duration::MAX;
        for _ in 0..CLOCK_READINGS {
            let asked = std::time::Instant::now();
            let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
                .fetch_one(&self.engine)
                .await?;
            let travelled = asked.elapsed();
            if travelled < best {
                best = travelled;
                clock.align(now + travelled / 2);
            }
        }
        Ok(())
    }

    /// Closes all pools; later calls fail as unavailable.
    pub async fn close(&self) {
        futures::join!(
            self.app.close(),
            self.each_tenant.close(),
            self.authenticator.close(),
            self.engine.close(),
            self.issuer.close(),
            self.operator.close(),
            self.purger.close(),
            self.registrar.close()
        );
    }
}

impl PlatformPool<'_, Engine> {
    /// A connection outside the pool, for what lasts as long as a connection does: an advisory lock.
    /// Dropping it closes it.
    pub async fn dedicated(&self) -> Result<PgConnection, DbError> {
        Ok(self.pool.acquire().await?.detach())
    }
}

impl<D: Duty> PlatformPool<'_, D> {
    /// A transaction of several statements.
    pub async fn begin(&self) -> Result<PlatformTx<D>, DbError> {
        PlatformTx::begin(self.pool).await
    }

    /// A session for one statement that commits by itself: two round trips fewer.
    pub async fn statement(&self) -> Result<PlatformTx<D>, DbError> {
        PlatformTx::autocommit(self.pool).await
    }
}

/// A login that row-level security does not bind must not be used, whoever configured it.
async fn refuse_bypass(pool: &PgPool) -> Result<(), DbError> {
    let login = sqlx::query!(
        r#"SELECT rolname AS "name!", rolsuper OR rolbypassrls AS "bypasses!"
           FROM pg_roles WHERE rolname = session_user"#
    )
    .fetch_one(pool)
    .await?;
    if login.bypasses {
        Err(DbError::BypassesRowSecurity { login: login.name })
    } else {
        Ok(())
    }
}

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

fn open(options: PgConnectOptions, role: Option<&str>, settings: PoolSettings) -> PgPool {
    let by_index = role == Some(Engine::ROLE) || role == Some(Authenticator::ROLE);
    open_with(options, role, by_index, settings)
}

fn open_with(
    options: PgConnectOptions,
    role: Option<&str>,
    by_index: bool,
    settings: PoolSettings,
) -> PgPool {
    let options = options
        .application_name("unity")
        .options(EVERY_SESSION)
        .options((role == Some(Engine::ROLE)).then_some(("lock_timeout", LOCK_TIMEOUT_OF_MANY)))
        .options(by_index.then_some(LOOK_UP_BY_INDEX).into_iter().flatten())
        .options(role.map(|role| ("role", role)));
    PgPoolOptions::new()
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
        .connect_lazy_with(options)
}
