//! Quotas that count things: places are taken with the thing, and never more than there are.

use serde_json::json;
use unity_shared::{
    db::Database,
    ids::TenantId,
    tenancy::{Quota, QuotaError, release_quota, reserve_quota, reserve_quota_as_operator},
};

use crate::harness::{Stack, StackOptions};

async fn quiet() -> (Stack, TenantId) {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let body = json!({
        "id": "counted", "name": "Counted", "plan": "free", "resource_quota": { "plugins": 5 }
    });
    stack.admin.post("/api/v1/tenants", &body).await.expect(201);
    (stack, TenantId::parse("counted").unwrap())
}

async fn take(
    database: &Database,
    tenant: &TenantId,
    quota: Quota,
    places: u32,
) -> Result<(), QuotaError> {
    let mut tx = database.tenant(tenant).await?;
    reserve_quota(&mut tx, quota, places).await?;
    Ok(tx.commit().await?)
}

async fn used(stack: &Stack, quota: &str) -> serde_json::Value {
    let path = "/api/v1/tenants/counted/usage";
    stack.admin.get(path).await.expect(200).json[quota].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_race_for_the_last_places_only_so_many_get_one() {
    let (stack, tenant) = quiet().await;
    let racers = (0..20).map(|_| take(&stack.database, &tenant, Quota::Plugins, 1));
    let outcomes = futures::future::join_all(racers).await;
    let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(taken, 5);
    for refused in outcomes.into_iter().filter_map(Result::err) {
        match refused {
            QuotaError::Full(full) => {
                assert_eq!((full.quota, full.limit, full.used), (Quota::Plugins, 5, 5));
            }
            other => panic!("{other}"),
        }
    }
    assert_eq!(
        used(&stack, "plugins").await,
        json!({ "limit": 5, "used": 5 })
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_goes_with_its_transaction_and_comes_back_with_the_thing() {
    let (stack, tenant) = quiet().await;
    let database = &stack.database;
    let mut tx = database.tenant(&tenant).await.unwrap();
    reserve_quota(&mut tx, Quota::Plugins, 5).await.unwrap();
    drop(tx);
    assert_eq!(used(&stack, "plugins").await["used"], 0);
    take(database, &tenant, Quota::Plugins, 5).await.unwrap();
    assert!(take(database, &tenant, Quota::Plugins, 1).await.is_err());
    let mut tx = database.tenant(&tenant).await.unwrap();
    release_quota(&mut tx, Quota::Plugins, 2).await.unwrap();
    tx.commit().await.unwrap();
    assert!(take(database, &tenant, Quota::Plugins, 3).await.is_err());
    take(database, &tenant, Quota::Plugins, 2).await.unwrap();
    // Giving back what nobody took is a defect, and changes nothing.
    let mut tx = database.tenant(&tenant).await.unwrap();
    let given = release_quota(&mut tx, Quota::Plugins, 6).await;
    assert!(matches!(given, Err(QuotaError::NotTaken)));
    drop(tx);
    assert_eq!(used(&stack, "plugins").await["used"], 5);
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_lowered_below_use_removes_nothing_and_lets_nothing_in() {
    let (stack, tenant) = quiet().await;
    take(&stack.database, &tenant, Quota::Plugins, 4)
        .await
        .unwrap();
    let path = "/api/v1/tenants/counted";
    let lower = json!({ "resource_quota": { "plugins": 2 } });
    stack.admin.patch(path, &lower).await.expect(200);
    assert_eq!(
        used(&stack, "plugins").await,
        json!({ "limit": 2, "used": 4 })
    );
    let refused = take(&stack.database, &tenant, Quota::Plugins, 1).await;
    assert!(matches!(refused, Err(QuotaError::Full(full)) if full.used == 4 && full.limit == 2));
    // Back on the plan there is room again.
    let plans = json!({ "resource_quota": null, "plan": "pro" });
    stack.admin.patch(path, &plans).await.expect(200);
    take(&stack.database, &tenant, Quota::Plugins, 21)
        .await
        .unwrap();
    assert!(
        take(&stack.database, &tenant, Quota::Plugins, 1)
            .await
            .is_err()
    );
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nine_quotas_are_shown_and_the_first_administrator_counts() {
    let stack = Stack::start().await;
    let plain = json!({ "id": "counted", "name": "Counted", "plan": "pro" });
    let made = stack
        .admin
        .post("/api/v1/tenants", &plain)
        .await
        .expect(201);
    let caller = stack.admin.with_key(&made.text_of("api_key"));
    let provision = json!({ "kind": "provision_namespace", "payload": {} });
    let job = caller
        .post("/api/v1/jobs", &provision)
        .await
        .expect(202)
        .text_of("id");
    assert_eq!(stack.ended(&caller, &job).await["status"], "succeeded");
    let usage = caller
        .get("/api/v1/tenants/counted/usage")
        .await
        .expect(200)
        .json;
    for (quota, limit) in [
        ("kubernetes_clusters", 5),
        ("plugins", 25),
        ("users", 50),
        ("api_calls_per_hour", 10_000),
        ("cpu_cores", 50),
        ("memory_gb", 125),
        ("storage_gb", 500),
        ("ssh_keys", 50),
        ("certificates", 25),
    ] {
        assert_eq!(usage[quota]["limit"], limit, "{quota}: {usage}");
        assert!(usage[quota]["used"].is_u64(), "{quota}: {usage}");
    }
    assert!(
        usage["api_calls_per_hour"]["used"].as_u64().unwrap() >= 2,
        "{usage}"
    );
    assert_eq!(usage["users"]["used"], 1);
    assert_eq!(usage["cpu_cores"]["used"], 0);
    let nobody = TenantId::parse("nobody").unwrap();
    let mut tx = stack.database.operator().begin().await.unwrap();
    let refused = reserve_quota_as_operator(&mut tx, &nobody, Quota::Users, 1).await;
    assert!(matches!(refused, Err(QuotaError::NoTenant)));
    drop(tx);
    let other = stack.create_tenant("other").await;
    for path in [
        "/api/v1/tenants/counted/usage",
        "/api/v1/tenants/nobody/usage",
    ] {
        other.get(path).await.problem(404, "not_found");
    }
    stack.finish().await;
}
