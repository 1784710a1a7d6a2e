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

#[tokio::test(flavor = "multi_thread")]
async fn what_a_statement_sets_for_the_session_is_gone_in_the_next_transaction() {
    let stack = stack_of_two().await;
    let database = database_of_one_connection(&stack).await;
    let alpha = TenantId::from_str("alpha").unwrap();
    for left in [
        "SET app.tenant_id = 'alpha'",
        "SET search_path = pg_temp, nowhere",
        "SET default_transaction_read_only = on",
        "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
        "SET statement_timeout = 1",
        "SET TimeZone = 'Pacific/Kiritimati'",
    ] {
        let mut tx = database.tenant(&alpha).await.unwrap();
        tx.connection().execute(left).await.unwrap();
        tx.commit().await.unwrap();
        let nobody = tenants_seen(&database, "nobody").await;
        assert!(nobody.is_empty(), "after {left}: {nobody:?}");
        let seen = tenants_seen(&database, "bravo").await;
        assert_eq!(seen.into_keys().collect::<Vec<_>>(), ["bravo"], "{left}");
        let mut tx = database.tenant(&alpha).await.unwrap();
        let settings: (String, String, String) = sqlx::query_as(
            "SELECT current_setting('search_path'), current_setting('transaction_read_only'),
                    current_setting('statement_timeout') || ' ' || current_setting('transaction_isolation')",
        )
        .fetch_one(tx.connection())
        .await
        .unwrap();
        let (path, read_only, timeout) = settings;
        assert_eq!(
            (&*path, &*read_only, &*timeout),
            ("public,pg_temp", "off", "30s read committed"),
            "{left}"
        );
        tx.commit().await.unwrap();
    }
    database.close().await;
    stack.finish().await;
}

/// Each login may set defaults for itself. What a pool asks for goes before them.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_login_is_given_as_default_changes_no_session_of_a_pool() {
    let stack = stack_of_two().await;
    let mut app = stack.app().await;
    for (setting, value) in [
        ("search_path", "nowhere"),
        ("default_transaction_read_only", "on"),
        ("statement_timeout", "1"),
    ] {
        let default = format!(
            "DO $$ BEGIN EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET {setting} = {value}',
                                        current_database()); END $$"
        );
        app.execute(sqlx::raw_sql(sqlx::AssertSqlSafe(default)))
            .await
            .unwrap();
    }
    let tenant = app
        .execute("ALTER ROLE CURRENT_USER SET app.tenant_id = 'alpha'")
        .await;
    assert!(tenant.is_err(), "the tenant is no default");
    let database = database_of_one_connection(&stack).await;
    let seen = tenants_seen(&database, "bravo").await;
    assert_eq!(seen.into_keys().collect::<Vec<_>>(), ["bravo"]);
    let mut each = database.each_tenant().await.unwrap();
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs")
        .fetch_one(each.connection())
        .await
        .unwrap();
    assert_eq!(count, 0, "no tenant is set");
    drop(each);
    database.close().await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_password_of_one_login_is_not_the_others() {
    let stack = stack_of_two().await;
    let url = |of: String| sqlx::postgres::PgConnectOptions::from_str(&of).unwrap();
    let servers = servers().await;
    let app = url(servers.app_url(&stack.name));
    let platform = url(servers.platform_url(&stack.name));
    let tried = sqlx::ConnectOptions::connect(&app.clone().username(platform.get_username())).await;
    let Err(sqlx::Error::Database(refused)) = tried else {
        panic!("the application's password opens the platform's login");
    };
    assert_eq!(refused.code().as_deref(), Some("28P01"));
    sqlx::ConnectOptions::connect(&platform).await.unwrap();
    stack.finish().await;
}
