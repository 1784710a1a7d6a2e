//! `unity bench`, in a size that shows that it measures, not how much.

use std::{process::Stdio, str::FromStr as _};

use serde_json::Value;
use sqlx::{ConnectOptions as _, postgres::PgConnectOptions};
use tokio::process::Command;

use crate::harness::servers;

/// The figures that a scenario prints on the servers of the tests.
async fn figures_of(scenario: &str, only: &str) -> Vec<Value> {
    let servers = servers().await;
    let output = Command::new(env!("CARGO_BIN_EXE_unity"))
        .args(["bench", scenario, "--repeat", "1", "--debug-build-anyway"])
        .args([
            "--only",
            only,
            "--seconds",
            "3",
            "--jobs",
            "100",
            "--tenants",
            "3",
        ])
        .env("UNITY_DATABASE_URL", servers.owner_url("postgres"))
        .env("UNITY_REDIS_URL", servers.redis_url())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .unwrap();
    let progress = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{progress}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[track_caller]
fn check(figures: &[Value], scenario: &str, name: &str, unit: &str) {
    let figure = figures
        .iter()
        .find(|figure| figure["figure"] == name)
        .unwrap_or_else(|| panic!("{name} is missing: {figures:#?}"));
    assert_eq!(figure["scenario"], scenario, "{figure}");
    assert_eq!(figure["unit"], unit, "{figure}");
    let value = figure["value"].as_f64().unwrap();
    assert!(value > 0.0, "{figure}");
    assert_eq!(figure["runs"].as_array().unwrap().len(), 1, "{figure}");
    for same in ["median", "min", "max"] {
        assert_eq!(figure[same].as_f64().unwrap().to_bits(), value.to_bits());
    }
    // What a reader must know to believe the figure.
    assert_eq!(figure["settings"]["debug_build"], true, "{figure}");
    assert_eq!(figure["settings"]["fsync"], "off", "{figure}");
    assert!(figure["settings"]["postgresql"].is_string(), "{figure}");
    assert!(figure["host"]["cores"].as_u64().unwrap() > 0, "{figure}");
    assert!(figure["host"]["load_before"].is_number(), "{figure}");
}

/// One test, so that what is left can only be what it left itself.
#[tokio::test(flavor = "multi_thread")]
async fn figures_are_printed_with_their_settings_and_nothing_is_left_on_given_servers() {
    let drain = figures_of("drain", "3 tenants").await;
    check(&drain, "drain", "3 tenants", "jobs/s");
    assert_eq!(drain[0]["settings"]["jobs"], 100);
    assert_eq!(drain[0]["settings"]["private_servers"], false);

    let enqueue = figures_of("enqueue", "1 connection").await;
    check(&enqueue, "enqueue", "1 connection", "jobs/s");
    check(&enqueue, "enqueue", "1 connection, p99", "ms");

    let mut owner = PgConnectOptions::from_str(&servers().await.owner_url("postgres"))
        .unwrap()
        .connect()
        .await
        .unwrap();
    let left: Vec<String> = sqlx::query_scalar(
        "SELECT datname::text FROM pg_database WHERE datname LIKE 'unity_bench_%'
         UNION ALL SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'unity_bench_%'",
    )
    .fetch_all(&mut owner)
    .await
    .unwrap();
    assert!(left.is_empty(), "{left:?}");
}
