//! Connections that serve one tenant after another.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use sqlx::Executor;
use unity_shared::{
    db::{Database, DatabaseUrls, PoolSettings},
    ids::TenantId,
};

use super::stack_of_two;
use crate::harness::{Stack, servers};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_forgotten_when_its_transaction_ends() {
    let stack = stack_of_two().await;
    let mut app = stack.app().await;
    for (ending, fails) in [
        ("COMMIT", false),
        ("ROLLBACK", false),
        ("COMMIT", true),
        ("ROLLBACK", true),
    ] {
        app.execute("BEGIN; SET LOCAL app.tenant_id = 'alpha'")
            .await
            .unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs")
            .fetch_one(&mut app)
            .await
            .unwrap();
        assert!(seen > 0);
        if fails {
            assert!(app.execute("SELECT 1 / 0").await.is_err());
        }
        app.execute(ending).await.unwrap();
        let left: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs")
            .fetch_one(&mut app)
            .await
            .unwrap();
        assert_eq!(left, 0, "after {ending}, with a failed statement: {fails}");
    }
    stack.finish().await;
}

/// One connection for all tenants, so that each transaction gets the one that the last has left.
async fn database_of_one_connection(stack: &Stack) -> Database {
    let servers = servers().await;
    let urls = DatabaseUrls {
        app: servers.app_url(&stack.name),
        platform: servers.platform_url(&stack.name),
    };
    let settings = PoolSettings {
        max_connections: 1,
        acquire_timeout: Duration::from_secs(10),
    };
    Database::connect(&urls, settings).await.unwrap()
}

async fn tenants_seen(database: &Database, tenant: &str) -> BTreeMap<String, i64> {
    let mut tx = database
        .tenant(&TenantId::from_str(tenant).unwrap())
        .await
        .unwrap();
    let rows: Vec<(String, i64)> =
        sqlx::query_as("SELECT tenant_id, count(*) FROM jobs GROUP BY tenant_id")
            .fetch_all(tx.connection())
            .await
            .unwrap();
    rows.into_iter().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooled_connection_carries_no_tenant_to_the_next_request() {
    let stack = stack_of_two().await;
    let database = database_of_one_connection(&stack).await;
    let alpha = TenantId::from_str("alpha").unwrap();
    let only = |tenant: &str| vec![tenant.to_owned()];
    for how in ["committed", "dropped", "failed", "cancelled"] {
        let mut tx = database.tenant(&alpha).await.unwrap();
        match how {
            "committed" => tx.commit().await.unwrap(),
            "dropped" => drop(tx),
            "failed" => {
                assert!(tx.connection().execute("SELECT 1 / 0").await.is_err());
                drop(tx);
            }
            _ => {
                // The statement is under way when its future is dropped, as when a client hangs up.
                let long = tokio::time::timeout(
                    Duration::from_millis(20),
                    tx.connection().execute("SELECT pg_sleep(0.2)"),
                );
                assert!(long.await.is_err());
                drop(tx);
            }
        }
        let seen = tenants_seen(&database, "bravo").await;
        assert_eq!(
            seen.into_keys().collect::<Vec<_>>(),
            only("bravo"),
            "after one was {how}"
        );
        let nobody = tenants_seen(&database, "nobody").await;
        assert!(nobody.is_empty(), "{nobody:?}");
    }
    let turns = (0..40).map(|turn| {
        let (database, tenant) = (database.clone(), ["alpha", "bravo"][turn % 2]);
        async move { (tenant, tenants_seen(&database, tenant).await) }
    });
    for (tenant, seen) in futures::future::join_all(turns).await {
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), only(tenant));
    }
    database.close().await;
    stack.finish().await;
}
