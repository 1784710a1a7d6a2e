//! The drills of `unity bench faults`, in their short form: each fault once, on servers of their own.

use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{Stack, StackOptions};

#[tokio::test(flavor = "multi_thread")]
async fn no_fault_loses_a_job_or_ends_one_twice() {
    let output = Command::new(env!("CARGO_BIN_EXE_unity"))
        .args(["bench", "faults", "--debug-build-anyway"])
        .args(["--seconds", "1.5", "--tenants", "6"])
        // Given ones would be the servers of all tests, which must not be taken away.
        .env_remove("UNITY_DATABASE_URL")
        .env_remove("UNITY_REDIS_URL")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let progress = String::from_utf8_lossy(&output.stderr);
    println!("{text}");
    let reports: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(reports.len(), 11, "{text}\n{progress}");
    for report in &reports {
        assert!(report["taken"].as_i64().unwrap() > 0, "{report}");
        assert_eq!(report["taken"], report["ended"], "{report}");
        // What is over a limit is told by the clocks of several processes, which are too far apart while
        // other tests take the cores; `model` asks with one clock, `unity bench faults` by itself.
        for count in ["lost", "ended_twice", "refused"] {
            assert_eq!(report[count], 0, "{report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_copy_of_an_id_does_not_free_the_slot_of_the_job_that_runs() {
    let stack = Stack::start_with(StackOptions::default()).await;
    let caller = stack.create_tenant("copied").await;
    stack.all_ended().await;
    crate::flows::gate::set_limit(&stack, "copied", 1).await;
    let first = stack.probe(&caller, json!({ "sleep_ms": 1500 })).await;
    stack.reaches(&caller, &first, "running").await;
    let second = stack.probe(&caller, json!({})).await;
    // What the scan for orphans leaves when a worker was silent for a while: the same id again.
    let keys = stack.gate.ready_queue("default");
    redis::pipe()
        .hset(keys.data(), &first, "\"\"")
        .hset(keys.meta(&first), "attempts", 0)
        .hset(keys.meta(&first), "max_attempts", 1)
        .hset(keys.meta(&first), "status", "Pending")
        .rpush(keys.active(), &first)
        .exec_async(&mut stack.gate.connection())
        .await
        .unwrap();
    let second = stack.ended(&caller, &second).await;
    let first = stack.ended(&caller, &first).await;
    let at = |job: &Value, field: &str| {
        chrono::DateTime::parse_from_rfc3339(job[field].as_str().unwrap()).unwrap()
    };
    assert!(
        at(&second, "started_at") >= at(&first, "finished_at"),
        "both ran under a limit of one: {first} {second}"
    );
    stack.finish().await;
}
