//! The database as a process has it: a pool of connections for each role that it acts in.

use std::{marker::PhantomData, str::FromStr, sync::Arc, time::Duration};

use sqlx::postgres::PgConnectOptions;

use super::{
    Authenticator, DbError, Duty, EachTenantTx, Engine, Issuer, Operator, PlatformTx, Purger,
    Registrar, TenantTx,
    pool::{Plans, Pool, PoolSettings},
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

/// Handle on the database. Clones share the pools.
#[derive(Debug, Clone)]
pub struct Database(Arc<Pools>);

#[derive(Debug)]
struct Pools {
    app: Pool,
    each_tenant: Pool,
    authenticator: Pool,
    engine: Pool,
    issuer: Pool,
    operator: Pool,
    purger: Pool,
    registrar: Pool,
}

/// One duty's pool, from which its transactions begin.
#[derive(Debug)]
pub struct PlatformPool<'a, D: Duty> {
    pool: &'a Pool,
    duty: PhantomData<D>,
}

/// How often the database's clock is read to tell how far away it is.
const CLOCK_READINGS: usize = 8;

impl Database {
    /// Opens the pools and checks that both logins work. No connection is kept idle for it.
    pub async fn connect(urls: &DatabaseUrls, settings: PoolSettings) -> Result<Self, DbError> {
        let app = PgConnectOptions::from_str(&urls.app)?;
        let platform = PgConnectOptions::from_str(&urls.platform)?;
        let duty = |role, plans| Pool::open(&platform, Some(role), plans, settings);
        let pools = Pools {
            app: Pool::open(&app, None, Plans::Each, settings),
            each_tenant: Pool::open(&app, None, Plans::Once, settings),
            authenticator: duty(Authenticator::ROLE, Plans::Once),
            engine: duty(Engine::ROLE, Plans::Once),
            issuer: duty(Issuer::ROLE, Plans::Each),
            operator: duty(Operator::ROLE, Plans::Each),
            purger: duty(Purger::ROLE, Plans::Each),
            registrar: duty(Registrar::ROLE, Plans::Each),
        };
        for pool in [&pools.app, &pools.engine] {
            refuse_bypass(pool).await?;
        }
        Ok(Self(Arc::new(pools)))
    }

    /// A transaction that sees and writes the rows of `tenant` only.
    pub async fn tenant(&self, tenant: &TenantId) -> Result<TenantTx, DbError> {
        TenantTx::begin(&self.0.app, tenant.clone()).await
    }

    /// A session for reads of many tenants' rows at once, each in its tenant's name.
    pub async fn each_tenant(&self) -> Result<EachTenantTx, DbError> {
        EachTenantTx::begin(&self.0.each_tenant).await
    }

    /// Finds the owner of a key or session before a tenant is known.
    #[must_use]
    pub fn authenticator(&self) -> PlatformPool<'_, Authenticator> {
        PlatformPool {
            pool: &self.0.authenticator,
            duty: PhantomData,
        }
    }

    /// The queue's own work across tenants.
    #[must_use]
    pub fn engine(&self) -> PlatformPool<'_, Engine> {
        PlatformPool {
            pool: &self.0.engine,
            duty: PhantomData,
        }
    }

    /// Lets people in and out.
    #[must_use]
    pub fn issuer(&self) -> PlatformPool<'_, Issuer> {
        PlatformPool {
            pool: &self.0.issuer,
            duty: PhantomData,
        }
    }

    /// What a system administrator does.
    #[must_use]
    pub fn operator(&self) -> PlatformPool<'_, Operator> {
        PlatformPool {
            pool: &self.0.operator,
            duty: PhantomData,
        }
    }

    /// Lets people in.
    #[must_use]
    pub fn registrar(&self) -> PlatformPool<'_, Registrar> {
        PlatformPool {
            pool: &self.0.registrar,
            duty: PhantomData,
        }
    }

    /// Takes a tenant's data away.
    #[must_use]
    pub fn purger(&self) -> PlatformPool<'_, Purger> {
        PlatformPool {
            pool: &self.0.purger,
            duty: PhantomData,
        }
    }

    /// Asks the database for an answer.
    pub async fn ping(&self) -> Result<(), DbError> {
        let mut connection = self.0.engine.acquire().await?;
        sqlx::query("SELECT 1").execute(&mut *connection).await?;
        Ok(())
    }

    /// Moves `clock` to the database's time, by the quickest of several answers: its travel time, halved,
    /// is what can be wrong.
    pub async fn align_clock(&self, clock: &Clock) -> Result<(), DbError> {
        let mut connection = self.0.engine.acquire().await?;
        let mut best = Duration::MAX;
        for _ in 0..CLOCK_READINGS {
            let asked = std::time::Instant::now();
            let now = sqlx::query_scalar!(r#"SELECT clock_timestamp() AS "now!""#)
                .fetch_one(&mut *connection)
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
            self.0.app.close(),
            self.0.each_tenant.close(),
            self.0.authenticator.close(),
            self.0.engine.close(),
            self.0.issuer.close(),
            self.0.operator.close(),
            self.0.purger.close(),
            self.0.registrar.close()
        );
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

    /// A session on a connection of its own, each of whose statements commits by itself: for what lasts as long
    /// as a connection does (an advisory lock), or must not wait until others are done with theirs (a
    /// heartbeat). Nobody asks whether it still lives. Dropping it closes the connection.
    pub async fn dedicated(&self) -> Result<PlatformTx<D>, DbError> {
        PlatformTx::dedicated(self.pool).await
    }
}

/// A login that row-level security does not bind must not be used, whoever configured it.
async fn refuse_bypass(pool: &Pool) -> Result<(), DbError> {
    let mut connection = pool.acquire().await?;
    let login = sqlx::query!(
        r#"SELECT rolname AS "name!", rolsuper OR rolbypassrls AS "bypasses!"
           FROM pg_roles WHERE rolname = session_user"#
    )
    .fetch_one(&mut *connection)
    .await?;
    if login.bypasses {
        Err(DbError::BypassesRowSecurity { login: login.name })
    } else {
        Ok(())
    }
}
