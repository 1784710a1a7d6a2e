//! A session for reads of many tenants' rows in one round trip, each in its tenant's name.

use sqlx::{PgConnection, Postgres, pool::PoolConnection};

use super::{DbError, pool::Pool};

/// A session whose role is `unity_app` and which has no tenant: row-level security shows it nothing.
/// A statement can name each tenant in turn in it, as `find_jobs` does.
#[derive(Debug)]
pub struct EachTenantTx(PoolConnection<Postgres>);

impl EachTenantTx {
    pub(super) async fn begin(pool: &Pool) -> Result<Self, DbError> {
        Ok(Self(pool.acquire().await?))
    }

    /// The connection, for a query function. Each statement commits by itself.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.0
    }
}
