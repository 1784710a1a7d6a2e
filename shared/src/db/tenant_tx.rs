//! A transaction in one tenant's name.

use sqlx::{PgConnection, Postgres, Transaction};

use super::{DbError, pool::Pool};
use crate::ids::TenantId;

/// A transaction whose role is `unity_app` and whose `app.tenant_id` is set, so that row-level
/// security shows and accepts this tenant's rows only. Dropping it without [`TenantTx::commit`]
/// undoes it.
#[derive(Debug)]
pub struct TenantTx {
    tx: Transaction<'static, Postgres>,
    tenant: TenantId,
}

impl TenantTx {
    pub(super) async fn begin(pool: &Pool, tenant: TenantId) -> Result<Self, DbError> {
        // One round trip for all three. The tenant ends with the transaction, so a pooled connection
        // cannot carry it to the next; and what a statement before has set for the session, which ours
        // never do, is taken back here: the transaction is as if the connection were new.
        let begin = format!(
            "RESET ALL; BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL app.tenant_id = '{tenant}'"
        );
        // Safe as text: the alphabet of a TenantId has no quote and no backslash.
        let tx = pool.begin_with(begin).await?;
        Ok(Self { tx, tenant })
    }

    /// The tenant whose rows are visible.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The connection, for a query function.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.tx
    }

    /// Makes the changes durable and visible.
    pub async fn commit(self) -> Result<(), DbError> {
        Ok(self.tx.commit().await?)
    }
}
