//! `unity dev`: the first thing that anybody runs.

use std::{path::Path, process::Stdio};

use serde_json::Value;
use tokio::process::{Child, Command};

use crate::harness::{Caller, eventually};

fn dev(folder: &Path) -> Command {
    let mut command = unity();
    command
        .arg("dev")
        .arg("--data-dir")
        .arg(folder)
        .args(["--listen", "127.0.0.1:0"]);
    command
}

fn unity() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_unity"));
    // What the developer's own shell has set is not part of the test.
    for name in [
        "UNITY_DATABASE_URL",
        "UNITY_REDIS_URL",
        "UNITY_KUBECONFIG",
        "UNITY_CONFIG",
    ] {
        command.env_remove(name);
    }
    command
        .kill_on_drop(true)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn record(folder: &Path) -> Option<Value> {
    serde_json::from_str(&std::fs::read_to_string(folder.join("dev.json")).ok()?).ok()
}

async fn started(folder: &Path) -> Child {
    let child = dev(folder).spawn().unwrap();
    eventually("the demo tenant is there", || async {
        record(folder)
            .is_some_and(|record| record["demo"].is_object())
            .then_some(())
    })
    .await;
    child
}

fn interrupt(child: &Child) {
    let pid = nix::unistd::Pid::from_raw(i32::try_from(child.id().unwrap()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn dev_once_provisions_the_demo_tenant_twice_in_a_row_on_one_folder() {
    let folder = tempfile::tempdir().unwrap();
    let mut tenants = Vec::new();
    for _ in 0..2 {
        let output = dev(folder.path()).arg("--once").output().await.unwrap();
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{out}\n{err}");
        assert_eq!(
            out.lines().filter(|line| line.starts_with("curl ")).count(),
            3,
            "{out}"
        );
        tenants.push(record(folder.path()).unwrap()["demo"]["api_key"].clone());
    }
    assert_eq!(
        tenants[0], tenants[1],
        "the second start finds the first one's data"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn two_instances_run_side_by_side_are_found_by_their_folders_and_stop_on_ctrl_c() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut first = started(folders[0].path()).await;
    let mut second = started(folders[1].path()).await;
    for folder in &folders {
        let record = record(folder.path()).unwrap();
        let key = record["demo"]["api_key"].as_str().unwrap();
        let caller = Caller::new(record["api_url"].as_str().unwrap(), Some(key));
        let job = record["demo"]["job_id"].as_str().unwrap();
        let job = caller
            .get(&format!("/api/v1/jobs/{job}?wait=30"))
            .await
            .expect(200)
            .json;
        assert_eq!(job["status"], "succeeded");
        let mut verify = unity();
        verify
            .args(["queues", "verify", "--dev-data-dir"])
            .arg(folder.path());
        let output = verify.output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
    }
    for child in [&mut first, &mut second] {
        interrupt(child);
        assert!(child.wait().await.unwrap().success());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_on_a_folder_in_use_says_so_and_exits() {
    let folder = tempfile::tempdir().unwrap();
    let mut first = started(folder.path()).await;
    let output = dev(folder.path()).output().await.unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains("in use"), "{error}");
    interrupt(&first);
    first.wait().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_that_was_asked_for_stops_the_start_with_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_unity"));
    command
        .arg("dev")
        .arg("--data-dir")
        .arg(folder.path())
        .args(["--listen", &address]);
    let output = command.output().await.unwrap();
    assert!(!output.status.success());
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(error.contains(&address), "{error}");
    assert_eq!(error.trim().lines().count(), 1, "{error}");
}
