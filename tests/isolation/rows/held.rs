//! Rows that one tenant's transaction holds for as long as it likes.

use serde_json::json;
use sqlx::Executor;

use super::app_as;
use crate::harness::{Stack, StackOptions};

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_holds_its_rows_holds_up_nobody_else() {
    let stack = Stack::start_with(StackOptions {
        concurrency: 16,
        ..StackOptions::default()
    })
    .await;
    let alpha = stack.create_tenant("alpha").await;
    let bravo = stack.create_tenant("bravo").await;
    // Longer than a lease, so that both have to be renewed meanwhile; and one that ends while it is held.
    let slow = stack.probe(&bravo, json!({ "sleep_ms": 9000 })).await;
    stack.reaches(&bravo, &slow, "running").await;
    let ends = stack.probe(&alpha, json!({ "sleep_ms": 1000 })).await;
    stack.reaches(&alpha, &ends, "running").await;
    let mut app = app_as(&stack, "alpha").await;
    app.execute("BEGIN").await.unwrap();
    for hold in [
        "SELECT 1 FROM jobs FOR UPDATE",
        "SELECT 1 FROM tenants FOR UPDATE",
        "SELECT tell(ARRAY['alpha'], ARRAY[gen_random_uuid()], ARRAY['a'], ARRAY['{}']::jsonb[], now())",
        "INSERT INTO idempotency_keys VALUES ('alpha', 'held', '', 202, NULL, '{}', now())",
        "SELECT audit_own('[{\"actor_kind\": \"user\", \"actor_id\": \"x\", \"actor_display\": \"x\", \"action\": \"a.b\",
                             \"object_type\": \"c\", \"result\": \"succeeded\", \"detail\": {}}]', now())",
    ] {
        app.execute(hold).await.unwrap();
    }
    let order = json!({ "kind": "probe", "payload": {} });
    // Alpha's own order is taken in, and ends when alpha lets go of its counter. Another, under the key that alpha
    // holds, has to wait, and gives up; bravo's, in the same moment, does not.
    for _ in 0..3 {
        alpha.post("/api/v1/jobs", &order).await.expect(202);
        let (own, other) = tokio::join!(
            alpha.post_with("/api/v1/jobs", &order, &[("idempotency-key", "held")]),
            bravo.post("/api/v1/jobs", &order)
        );
        own.problem(503, "unavailable");
        let job = stack.ended(&bravo, &other.expect(202).text_of("id")).await;
        assert_eq!(job["status"], "succeeded", "{job}");
    }
    let job = stack.ended(&bravo, &slow).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    assert_eq!(job["attempt"], 1, "its lease was renewed: {job}");
    app.execute("ROLLBACK").await.unwrap();
    let job = stack.ended(&alpha, &ends).await;
    assert_eq!(job["status"], "succeeded", "{job}");
    stack.finish().await;
}
