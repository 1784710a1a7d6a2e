//! What goes with a tenant: every table of tenants' rows is either purged or kept on purpose, and the
//! purge can do what it must and no more.

use sqlx::PgConnection;
use unity_shared::tenancy::{KEPT_TABLES, PURGED_TABLES};

use super::tenant_tables;

const CAN_DELETE: &str = "SELECT has_table_privilege('unity_purger', $1, 'DELETE')";

const DELETES_BY: &str = "
    SELECT coalesce(pg_get_expr(p.polqual, p.polrelid), '-') FROM pg_policy p
    WHERE p.polrelid = $1::regclass AND p.polcmd IN ('d', '*')
      AND 'unity_purger'::regrole::oid = ANY (p.polroles)";

/// What is wrong.
pub async fn faults(connection: &mut PgConnection) -> Vec<String> {
    let mut faults = Vec::new();
    let tables = tenant_tables(connection).await;
    for table in PURGED_TABLES.iter().chain(KEPT_TABLES) {
        if !tables.contains_key(*table) {
            faults.push(format!(
                "{table}: is listed for the purge and has no tenant"
            ));
        }
    }
    for table in tables.keys() {
        let purged = PURGED_TABLES.contains(&table.as_str());
        let kept = KEPT_TABLES.contains(&table.as_str());
        if purged == kept {
            faults.push(format!(
                "{table}: is neither purged with its tenant nor kept on purpose, or both"
            ));
            continue;
        }
        let can_delete: bool = sqlx::query_scalar(CAN_DELETE)
            .bind(table)
            .fetch_one(&mut *connection)
            .await
            .unwrap();
        if purged && !can_delete {
            faults.push(format!("{table}: unity_purger cannot delete its rows"));
        }
        if kept && can_delete {
            faults.push(format!(
                "{table}: unity_purger can delete rows that are kept"
            ));
        }
        let policies: Vec<String> = sqlx::query_scalar(DELETES_BY)
            .bind(table)
            .fetch_all(&mut *connection)
            .await
            .unwrap();
        if purged && policies != ["is_being_purged(tenant_id)"] {
            faults.push(format!(
                "{table}: no policy lets unity_purger delete rows of tenants that are being purged, \
                 and only them: {policies:?}"
            ));
        }
    }
    faults
}
