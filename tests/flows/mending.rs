//! The gate is mended: lost keys, epochs that differ, an older Redis, late announcements, long lines of
//! one resource key.

use chrono::{DateTime, TimeDelta, Utc};
use redis::AsyncCommands;
use serde_json::{Value, json};
use unity_api::ops::install_recorder;
use unity_shared::{
    ids::JobId,
    jobs::SwitchSet,
    queue::{Obstacle, Offer, Place, refill},
    tenancy::{JobLimits, LimitsAt, Plan},
};

use super::gate::set_limit;
use crate::harness::{Caller, Stack, StackOptions, eventually};

/// A stack in which nothing moves but what the test moves, with one worker.
async fn by_hand() -> Stack {
    Stack::start_with(StackOptions {
        scheduler: false,
        ..StackOptions::default()
    })
    .await
}

/// A key of the gate, whole.
fn key(stack: &Stack, name: &str) -> String {
    let queue = stack.gate.ready_queue("").name;
    format!("{}{name}", queue.trim_end_matches("queue:"))
}

async fn remove(stack: &Stack, name: &str) {
    let removed: i64 = stack.gate.connection().del(key(stack, name)).await.unwrap();
    assert_eq!(removed, 1, "there was no {name}");
}

async fn keyed(caller: &Caller, resource: &str, payload: Value) -> String {
    let body = json!({ "kind": "probe", "payload": payload, "resource_key": resource });
    let enqueued = caller.post("/api/v1/jobs", &body).await.expect(202);
    enqueued.text_of("id")
}

/// All drift that was counted so far in this process.
fn drift(found: &str) -> f64 {
    let text = install_recorder().render();
    let start = format!("unity_gate_drift_total{{found=\"{found}\"}} ");
    let line = text.lines().find_map(|line| line.strip_prefix(&start));
    line.map_or(0.0, |count| count.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_redis_loses_of_waiting_jobs_they_run_and_it_is_counted_as_drift() {
    let _metrics = install_recorder();
    let stack = by_hand().await;
    let caller = stack.create_tenant("partly").await;
    stack.all_ended().await;
    for lost in ["wait:default:partly:probe", "waits:default", "jobs"] {
        set_limit(&stack, "partly", 0).await;
        let id = stack.probe(&caller, json!({})).await;
        // What has been due for a while is not on its way from its commit to its offer.
        sqlx::query("UPDATE jobs SET run_at = run_at - interval '1 minute' WHERE id = $1::uuid")
            .bind(&id)
            .execute(&mut stack.owner().await)
            .await
            .unwrap();
        let before = drift("unknown");
        remove(&stack, lost).await;
        stack.tick().await;
        if lost != "waits:default" {
            assert!(drift("unknown") > before, "{lost} was not noticed");
        }
        set_limit(&stack, "partly", 5).await;
        assert_eq!(
            stack.ended(&caller, &id).await["status"],
            "succeeded",
            "{lost}"
        );
    }
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_that_fell_out_of_the_ring_takes_turns_again() {
    let mut stack = Stack::still().await;
    let caller = stack.create_tenant("ringless").await;
    let id = stack.probe(&caller, json!({})).await;
    // Nobody can run it yet, so the tenant waits in the ring or for a worker.
    let mut redis = stack.gate.connection();
    let _: i64 = redis.del(key(&stack, "ring:default")).await.unwrap();
    let worker = tokio_util::sync::CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    eventually("the worker is a member", || async {
        let mut redis = stack.gate.connection();
        let members: i64 = redis.hlen(key(&stack, "members:default")).await.unwrap();
        (members == 1).then_some(())
    })
    .await;
    let _: i64 = redis.del(key(&stack, "ring:default")).await.unwrap();
    stack.tick().await;
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    worker.cancel();
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_run_are_counted_again_when_redis_lost_their_slots() {
    let _metrics = install_recorder();
    for lost in ["slots:counted", "admitted:default:probe", "jobs", "claimed"] {
        let stack = by_hand().await;
        let caller = stack.create_tenant("counted").await;
        stack.all_ended().await;
        set_limit(&stack, "counted", 1).await;
        let id = stack.probe(&caller, json!({ "sleep_ms": 1500 })).await;
        stack.reaches(&caller, &id, "running").await;
        let before = drift("uncounted");
        remove(&stack, lost).await;
        stack.tick().await;
        assert!(drift("uncounted") > before, "{lost} was not noticed");
        let second = stack.probe(&caller, json!({})).await;
        let why = stack.gate.why(second.parse().unwrap()).await.unwrap();
        assert_eq!(why.obstacles, [Obstacle::TenantLimit], "{lost}: {why:?}");
        for id in [&id, &second] {
            assert_eq!(stack.ended(&caller, id).await["status"], "succeeded");
        }
        stack.finish().await;
    }
}

/// Writes into the rows that the probes run, for an hour. Nobody tells the gate.
pub(super) async fn run_probes_for_an_hour(stack: &Stack) {
    let changed = sqlx::query(
        "UPDATE jobs SET status = 'running', attempt = 1, fence = 1, worker_id = gen_random_uuid(),
                         started_at = now(), attempt_started_at = now(),
                         lease_expires_at = now() + interval '1 hour'
         WHERE kind = 'probe'",
    )
    .execute(&mut stack.owner().await)
    .await;
    assert!(changed.unwrap().rows_affected() > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_nobody_renews_is_kept_while_its_job_runs_by_its_row() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("lasting").await;
    let id = stack.probe(&caller, json!({})).await;
    run_probes_for_an_hour(&stack).await;
    stack.tick().await;
    // The worker reaches the rows but not Redis.
    let end = (stack.clock.now() + TimeDelta::seconds(1)).timestamp_millis();
    let mut redis = stack.gate.connection();
    for list in ["slots:lasting", "admitted:default:probe"] {
        let _: i64 = redis.zadd(key(&stack, list), &id, end).await.unwrap();
    }
    let end_soon = async || {
        let soon = stack.gate.lease() / 2;
        stack.gate.expiring("default", soon, 0).await.unwrap()
    };
    assert_eq!(end_soon().await, [id.parse().unwrap()]);
    stack.tick().await;
    assert_eq!(end_soon().await, []);
    stack.stop().await;
}

async fn epochs(stack: &Stack) -> (Option<i64>, i64) {
    let recorded = stack.count("SELECT epoch FROM gate_epochs").await;
    (stack.gate.epoch().await.unwrap(), recorded)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gate_under_another_epoch_than_the_records_is_filled_anew() {
    let stack = by_hand().await;
    let caller = stack.create_tenant("epochs").await;
    for change in ["epoch + 5", "0"] {
        let sql = format!("UPDATE gate_epochs SET epoch = {change}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
            .execute(&mut stack.owner().await)
            .await
            .unwrap();
        let id = stack.probe(&caller, json!({})).await;
        stack.tick().await;
        let (open, recorded) = epochs(&stack).await;
        assert_eq!(open, Some(recorded), "after {change}");
        // A claim under way meanwhile may have been given up; the sweeper offers the job again.
        stack.tick().await;
        assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    }
    stack.finish().await;
}

/// Programs of two versions may mean different things by the same keys.
#[tokio::test(flavor = "multi_thread")]
async fn a_gate_that_was_filled_by_another_version_is_filled_anew() {
    let stack = by_hand().await;
    let (before, _) = epochs(&stack).await;
    let mut redis = stack.gate.connection();
    let layout: String = redis.get(key(&stack, "layout")).await.unwrap();
    let _: () = redis.set(key(&stack, "layout"), "1").await.unwrap();
    let waiting = key(&stack, "tenants:default");
    let _: i64 = redis.sadd(&waiting, "of-another-version").await.unwrap();
    stack.tick().await;
    let (open, recorded) = epochs(&stack).await;
    assert_eq!(open, Some(recorded));
    assert!(open > before, "{open:?} after {before:?}");
    let again: String = redis.get(key(&stack, "layout")).await.unwrap();
    assert_eq!(again, layout);
    let left: bool = redis.exists(&waiting).await.unwrap();
    assert!(!left, "what nobody reads is still there");
    stack.tick().await;
    assert_eq!(epochs(&stack).await.0, open, "filled a second time");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_came_back_with_what_it_held_before_is_not_believed() {
    let stack = by_hand().await;
    let (before, _) = epochs(&stack).await;
    stack.tick().await;
    assert_eq!(epochs(&stack).await.0, before, "nothing was wrong");
    // Another run of the server, and a job in it that has long ended.
    let ghost = JobId::new();
    redis::pipe()
        .set(key(&stack, "server"), "another-run")
        .hset(
            key(&stack, "jobs"),
            ghost.to_string(),
            "ghost\tdefault\tprobe\t1\t",
        )
        .zadd(
            key(&stack, "slots:ghost"),
            ghost.to_string(),
            9_999_999_999_999_i64,
        )
        .exec_async(&mut stack.gate.connection())
        .await
        .unwrap();
    stack.tick().await;
    let (open, recorded) = epochs(&stack).await;
    assert_eq!(open, Some(recorded));
    assert!(open > before, "{open:?} after {before:?}");
    let left: bool = stack
        .gate
        .connection()
        .exists(key(&stack, "slots:ghost"))
        .await
        .unwrap();
    assert!(!left, "what the older state held is gone");
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refills_at_the_same_time_end_with_one_open_gate_that_holds_everything() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("refilled").await;
    let mut ids = Vec::new();
    for _ in 0..20 {
        ids.push(stack.probe(&caller, json!({})).await);
    }
    let now = stack.clock.now();
    let one = || refill(&stack.database, &stack.gate, now);
    let (a, b, c) = tokio::join!(one(), one(), one());
    let opened = [a.is_ok(), b.is_ok(), c.is_ok()];
    assert!(opened.contains(&true), "{opened:?}");
    let (open, recorded) = epochs(&stack).await;
    assert_eq!(open, Some(recorded));
    for id in &ids {
        let why = stack.gate.why(id.parse().unwrap()).await.unwrap();
        assert_eq!(why.place, Place::Waiting);
    }
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_and_switches_that_were_read_before_the_known_ones_change_nothing() {
    let stack = Stack::still().await;
    let caller = stack.create_tenant("stale").await;
    let id: JobId = stack.probe(&caller, json!({})).await.parse().unwrap();
    let limits = |version, max_concurrent| LimitsAt {
        tenant_id: "stale".parse().unwrap(),
        version,
        limits: JobLimits {
            max_concurrent,
            ..Plan::Pro.default_job_limits()
        },
    };
    for (version, most, holds) in [(7, 3, 3), (6, 9, 3), (7, 4, 4), (8, 5, 5), (1, 1, 5)] {
        stack
            .gate
            .set_limits(&[limits(version, most)])
            .await
            .unwrap();
        let known = stack.gate.why(id).await.unwrap().max_concurrent;
        assert_eq!(known, holds, "version {version}");
    }
    let order = json!({
        "scope": { "tenant": "stale" }, "action": "pause", "reason": "held",
        "expires_at": stack.clock.now() + TimeDelta::hours(1),
    });
    let switch = stack
        .admin
        .post("/api/v1/switches", &order)
        .await
        .expect(201);
    let paused = async || {
        let why = stack.gate.why(id).await.unwrap();
        why.obstacles.contains(&Obstacle::Paused)
    };
    assert!(paused().await);
    let before_it = SwitchSet {
        version: 0,
        switches: Vec::new(),
    };
    stack.gate.set_switches(&before_it).await.unwrap();
    assert!(paused().await, "read before the switch was put on");
    let path = format!("/api/v1/switches/{}", switch.text_of("id"));
    stack.admin.delete(&path).await.expect(204);
    assert!(!paused().await);
    stack.stop().await;
}

/// Offers of jobs with one resource key, due one millisecond after the other.
fn offers(key: Option<&str>, count: i64, due: DateTime<Utc>) -> Vec<Offer> {
    let offer = |number| Offer {
        tenant_id: "long".parse().unwrap(),
        id: JobId::new(),
        queue: "default".to_owned(),
        kind: "probe".to_owned(),
        priority: 5,
        run_at: due + TimeDelta::milliseconds(number),
        resource_key: key.map(ToOwned::to_owned),
    };
    (0..count).map(offer).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_line_of_one_resource_key_is_walked_bit_by_bit_and_holds_up_nobody() {
    let stack = by_hand().await;
    stack.create_tenant("long").await;
    stack.all_ended().await;
    set_limit(&stack, "long", 0).await;
    let now = stack.clock.now();
    let line = offers(Some("one"), 5000, now - TimeDelta::hours(1));
    let behind = offers(None, 1, now);
    stack.gate.offer(&line).await.unwrap();
    stack.gate.offer(&behind).await.unwrap();
    let held = async || -> i64 {
        let mut redis = stack.gate.connection();
        redis.zcard(key(&stack, "held:default:long")).await.unwrap()
    };
    set_limit(&stack, "long", 3).await;
    // One script of many has run.
    assert!((1..2000).contains(&held().await), "{}", held().await);
    let mut walks = 0;
    while stack.gate.reap(&["default"]).await.unwrap().1 {
        walks += 1;
        assert!(walks < 100, "there is always more");
    }
    assert!(walks > 1);
    // But for those that a worker has taken and found without a row.
    assert!(held().await > 4900, "{}", held().await);
    let place = stack.gate.why(behind[0].id).await.unwrap().place;
    assert!(
        !matches!(place, Place::Waiting | Place::Parked),
        "{place:?}"
    );
    // They have no rows, so a claim gets nothing and the line is dropped.
    stack.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_parked_behind_a_resource_key_waits_and_the_longest_wait_is_told() {
    let stack = by_hand().await;
    let caller = stack.create_tenant("parked").await;
    stack.all_ended().await;
    let first = keyed(&caller, "one", json!({ "sleep_ms": 2000 })).await;
    stack.reaches(&caller, &first, "running").await;
    for _ in 0..3 {
        keyed(&caller, "one", json!({})).await;
    }
    let line = stack.admin.get("/api/v1/queues").await.expect(200).json;
    let line = line["items"]
        .as_array()
        .unwrap()
        .iter()
        .find(|line| line["tenant_id"] == "parked")
        .unwrap()
        .clone();
    assert_eq!((&line["waiting"], &line["running"]), (&json!(3), &json!(1)));
    assert!(line["oldest_wait_seconds"].is_number(), "{line}");
    // The head by priority is not the one that waits longest.
    set_limit(&stack, "parked", 0).await;
    let now = stack.clock.now();
    let mut old = offers(None, 1, now - TimeDelta::hours(1));
    old[0].tenant_id = "parked".parse().unwrap();
    old[0].priority = 0;
    let mut urgent = offers(None, 1, now);
    urgent[0].tenant_id = "parked".parse().unwrap();
    urgent[0].priority = 9;
    stack
        .gate
        .offer(&[old[0].clone(), urgent[0].clone()])
        .await
        .unwrap();
    let tenants = ["parked".parse().unwrap()];
    let loads = stack.gate.loads("default", &tenants).await.unwrap();
    let waited = now - loads[0].oldest_due_at.unwrap();
    assert!(waited > TimeDelta::minutes(59), "{waited}");
    stack.gate.forget(&[old[0].id, urgent[0].id]).await.unwrap();
    set_limit(&stack, "parked", 5).await;
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_row_that_cannot_be_written_does_not_keep_others_from_being_rescued() {
    let stack = by_hand().await;
    let caller = stack.create_tenant("rescued").await;
    stack.all_ended().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(stack.probe(&caller, json!({})).await);
    }
    for id in &ids {
        stack.ended(&caller, id).await;
    }
    // As if a worker had vanished with them; one of the rows refuses every change.
    sqlx::raw_sql(
        "UPDATE jobs SET status = 'running', finished_at = NULL, result = NULL, worker_id = gen_random_uuid(),
                attempt_started_at = now(), lease_expires_at = now() - interval '1 minute',
                max_attempts = 1
         WHERE kind = 'probe';
         CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'this row cannot be written'; END $$;",
    )
    .execute(&mut stack.owner().await)
    .await
    .unwrap();
    let sql = format!(
        "CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW
             WHEN (OLD.id = '{}') EXECUTE FUNCTION refuse();",
        ids[1]
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let running = "SELECT count(*) FROM jobs WHERE status = 'running'";
    eventually("all but one are rescued", || async {
        stack.tick().await;
        (stack.count(running).await == 1).then_some(())
    })
    .await;
    sqlx::raw_sql("DROP TRIGGER refuse ON jobs")
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    stack.tick().await;
    assert_eq!(stack.count(running).await, 0);
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handed_back_job_stands_where_it_stood_at_once() {
    let mut stack = Stack::still().await;
    let caller = stack.create_tenant("back").await;
    let worker = tokio_util::sync::CancellationToken::new();
    stack.start_worker(worker.clone()).await;
    stack.all_ended().await;
    let first = keyed(&caller, "one", json!({ "sleep_ms": 20_000 })).await;
    stack.reaches(&caller, &first, "running").await;
    let second = keyed(&caller, "one", json!({})).await;
    worker.cancel();
    // No loop of the scheduler runs: the settlement itself has put it back.
    eventually("the job waits again", || async {
        let why = stack.gate.why(first.parse().unwrap()).await.unwrap();
        (why.place == Place::Waiting).then_some(())
    })
    .await;
    let why = stack.gate.why(second.parse().unwrap()).await.unwrap();
    assert_ne!(why.jobs_ahead, Some(0), "{why:?}");
    sqlx::query("UPDATE jobs SET payload = '{}' WHERE id = $1::uuid")
        .bind(&first)
        .execute(&mut stack.owner().await)
        .await
        .unwrap();
    let next = tokio_util::sync::CancellationToken::new();
    stack.start_worker(next.clone()).await;
    let started = |job: Value| -> DateTime<Utc> {
        job["attempt_started_at"]
            .as_str()
            .or(job["started_at"].as_str())
            .unwrap()
            .parse()
            .unwrap()
    };
    let second = started(stack.ended(&caller, &second).await);
    let first = stack.ended(&caller, &first).await;
    let ended: DateTime<Utc> = first["finished_at"].as_str().unwrap().parse().unwrap();
    assert!(ended <= second, "the later one overtook: {first} {second}");
    next.cancel();
    stack.finish().await;
}
