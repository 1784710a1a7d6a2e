//! Processes that join a stack by its settings file.

use std::{io::Write as _, process::Stdio};

use nix::sys::signal::Signal;
use serde_json::json;
use tokio::process::{Child, Command};

use crate::harness::{Stack, StackOptions};

/// Starts `unity <args>` against the stack.
pub(crate) async fn spawn(stack: &Stack, args: &[&str]) -> (Child, tempfile::NamedTempFile) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(stack.settings_toml().await.as_bytes())
        .unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unity"));
    command.args(args).arg("--config").arg(file.path());
    command
        .kill_on_drop(true)
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    (command.spawn().unwrap(), file)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_process_of_its_own_takes_jobs() {
    let stack = Stack::start_with(StackOptions {
        workers: 0,
        ..StackOptions::default()
    })
    .await;
    let caller = stack.create_tenant("joined").await;
    let (mut worker, _file) = spawn(&stack, &["worker"]).await;
    let id = stack.probe(&caller, json!({ "echo": 1 })).await;
    assert_eq!(stack.ended(&caller, &id).await["result"]["echo"], 1);
    signal(&worker, Signal::SIGTERM);
    assert!(worker.wait().await.unwrap().success());
    assert_eq!(
        stack
            .count("SELECT count(*) FROM workers WHERE stopped_at IS NULL")
            .await,
        0
    );
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_scheduler_is_replaced_by_another() {
    let options = StackOptions {
        scheduler: false,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("led").await;
    let (mut first, _one) = spawn(&stack, &["scheduler"]).await;
    let (_second, _two) = spawn(&stack, &["scheduler"]).await;
    let body = json!({ "kind": "probe", "payload": {}, "delay_seconds": 1 });
    let id = caller
        .post("/api/v1/jobs", &body)
        .await
        .expect(202)
        .text_of("id");
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    first.kill().await.unwrap();
    let id = caller
        .post("/api/v1/jobs", &body)
        .await
        .expect(202)
        .text_of("id");
    assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduler_that_stands_still_is_replaced_within_seconds_and_does_no_harm_afterwards() {
    let options = StackOptions {
        scheduler: false,
        ..StackOptions::default()
    };
    let stack = Stack::start_with(options).await;
    let caller = stack.create_tenant("stood-still").await;
    // Only a scheduler moves a job that is due later.
    let order = json!({ "kind": "probe", "payload": {}, "delay_seconds": 1 });
    let run_later = async || {
        let id = caller.post("/api/v1/jobs", &order).await.expect(202);
        let id = id.text_of("id");
        assert_eq!(stack.ended(&caller, &id).await["status"], "succeeded");
    };
    let (first, _one) = spawn(&stack, &["scheduler"]).await;
    run_later().await;
    let (_second, _two) = spawn(&stack, &["scheduler"]).await;
    signal(&first, Signal::SIGSTOP);
    let stopped = std::time::Instant::now();
    run_later().await;
    let seconds = stopped.elapsed().as_secs_f64();
    println!("replaced within {seconds:.1} s");
    // Ten seconds on a machine that has nothing else to do.
    assert!(seconds < 20.0, "{seconds} s");
    signal(&first, Signal::SIGCONT);
    for _ in 0..3 {
        run_later().await;
    }
    let leaders =
        "SELECT count(*) FROM pg_locks AS held JOIN pg_database AS d ON d.oid = held.database
                   WHERE held.locktype = 'advisory' AND d.datname = current_database()";
    assert_eq!(stack.count(leaders).await, 1);
    stack.finish().await;
}

/// Sends a signal to a process that this test has started.
pub(crate) fn signal(process: &Child, signal: Signal) {
    let pid = i32::try_from(process.id().unwrap()).unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), signal).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_its_database_says_so_and_exits() {
    for (command, variable, text) in [
        ("api", "UNITY_DATABASE_URL", "PostgreSQL"),
        ("worker", "UNITY_REDIS_URL", "Redis"),
    ] {
        let stack = Stack::start_with(StackOptions {
            workers: 0,
            ..StackOptions::default()
        })
        .await;
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(stack.settings_toml().await.as_bytes())
            .unwrap();
        let nobody = match variable {
            "UNITY_DATABASE_URL" => "postgres://nobody:secret@127.0.0.1:1/none",
            _ => "redis://:secret@127.0.0.1:1",
        };
        let mut unity = Command::new(env!("CARGO_BIN_EXE_unity"));
        unity
            .arg(command)
            .arg("--config")
            .arg(file.path())
            .env(variable, nobody);
        let output = unity.output().await.unwrap();
        assert!(!output.status.success());
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            error.contains(text) && error.contains("127.0.0.1:1"),
            "{error}"
        );
        assert!(!error.contains("secret"), "{error}");
        stack.stop().await;
    }
}
