//! Sessions of the platform's own duties, each in a role of its own.

use std::marker::PhantomData;

use sqlx::{PgConnection, Postgres, Transaction, pool::PoolConnection};

use super::{DbError, pool::Pool};

/// A duty that must cross tenants. Its role has the grants and policies that it needs, and no
/// more; none of them owns a table or bypasses row-level security.
pub trait Duty: Send + Sync + 'static {
    /// The group role in the database.
    const ROLE: &'static str;
}

/// Reads keys, sessions, roles and tenant status to learn who calls, before a tenant is known.
#[derive(Debug)]
pub struct Authenticator;
/// Moves jobs of all tenants: claims, finishes, sweeps, schedules.
#[derive(Debug)]
pub struct Engine;
/// Checks passwords, makes and ends sessions, keeps the keys that sign tokens.
#[derive(Debug)]
pub struct Issuer;
/// Acts for a system administrator: tenants, first keys, the fleet.
#[derive(Debug)]
pub struct Operator;
/// Lets people in and out: identities, which belong to no tenant, the memberships that they come to, and
/// what ends together with one.
#[derive(Debug)]
pub struct Registrar;
/// Takes away the rows of tenants that are being purged, and of no others, and people who belong to nothing.
#[derive(Debug)]
pub struct Purger;

impl Duty for Authenticator {
    const ROLE: &'static str = "unity_authenticator";
}
impl Duty for Engine {
    const ROLE: &'static str = "unity_engine";
}
impl Duty for Issuer {
    const ROLE: &'static str = "unity_issuer";
}
impl Duty for Operator {
    const ROLE: &'static str = "unity_operator";
}
impl Duty for Registrar {
    const ROLE: &'static str = "unity_registrar";
}
impl Duty for Purger {
    const ROLE: &'static str = "unity_purger";
}

/// A session in the role of duty `D`. Dropping one that began a transaction undoes it.
#[derive(Debug)]
pub struct PlatformTx<D: Duty> {
    session: Session,
    duty: PhantomData<D>,
}

#[derive(Debug)]
enum Session {
    Transaction(Transaction<'static, Postgres>),
    Autocommit(PoolConnection<Postgres>),
    Dedicated(Box<PgConnection>),
}

impl<D: Duty> PlatformTx<D> {
    pub(super) async fn begin(pool: &Pool) -> Result<Self, DbError> {
        Ok(Self {
            session: Session::Transaction(pool.begin().await?),
            duty: PhantomData,
        })
    }

    pub(super) async fn autocommit(pool: &Pool) -> Result<Self, DbError> {
        Ok(Self {
            session: Session::Autocommit(pool.acquire().await?),
            duty: PhantomData,
        })
    }

    pub(super) async fn dedicated(pool: &Pool) -> Result<Self, DbError> {
        Ok(Self {
            session: Session::Dedicated(Box::new(pool.acquire().await?.detach())),
            duty: PhantomData,
        })
    }

    /// The connection, for a query function.
    pub fn connection(&mut self) -> &mut PgConnection {
        match &mut self.session {
            Session::Transaction(tx) => tx,
            Session::Autocommit(connection) => connection,
            Session::Dedicated(connection) => connection,
        }
    }

    /// Makes the changes durable and visible. A session for one statement has already done so.
    pub async fn commit(self) -> Result<(), DbError> {
        match self.session {
            Session::Transaction(tx) => Ok(tx.commit().await?),
            Session::Autocommit(_) | Session::Dedicated(_) => Ok(()),
        }
    }
}
