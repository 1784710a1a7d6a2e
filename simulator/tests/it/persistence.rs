//! The state file and the request log.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{ListParams, PostParams, WatchParams};
use serde_json::json;
use unity_simulator::SimulatorConfig;

use crate::harness::{Cluster, Outcome, object};

#[tokio::test]
async fn objects_survive_a_restart_with_their_identity() -> Outcome {
    let directory = tempfile::tempdir()?;
    let config = SimulatorConfig {
        state_file: Some(directory.path().join("state.json")),
        token: Some("fixed".to_owned()),
        ..SimulatorConfig::default()
    };
    let cluster = Cluster::with(config.clone()).await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let map = object(json!({"metadata": {"name": "a"}, "data": {"k": "v"}}));
    let made = api.create(&PostParams::default(), &map).await?;
    cluster.simulator.shutdown().await;

    let cluster = Cluster::with(config).await?;
    let api: Api<ConfigMap> = cluster.api("default");
    assert_eq!(api.get("a").await?, made);
    let all = api.list(&ListParams::default()).await?;
    let number = |text: Option<String>| text.unwrap_or_default().parse::<u64>();
    assert!(number(all.metadata.resource_version)? > number(made.metadata.resource_version)?);
    Ok(())
}

#[tokio::test]
async fn writes_are_counted() -> Outcome {
    let cluster = Cluster::start().await?;
    let log = cluster.simulator.requests();
    let api: Api<ConfigMap> = cluster.api("default");
    api.list(&ListParams::default()).await?;
    assert_eq!((log.writes(), log.total()), (0, 1));
    let map = object(json!({"metadata": {"name": "a"}}));
    api.create(&PostParams::default(), &map).await?;
    assert_eq!(log.writes(), 1);
    let path = "/api/v1/namespaces/default/configmaps".to_owned();
    assert_eq!(log.entries().last(), Some(&("POST".to_owned(), path)));
    Ok(())
}

#[tokio::test]
async fn a_shutdown_ends_open_watches() -> Outcome {
    use futures::TryStreamExt;
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("kube-public");
    let start = api
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version;
    let events = api
        .watch(&WatchParams::default(), &start.unwrap_or_default())
        .await?;
    let (heard, ()) = tokio::join!(events.try_collect::<Vec<_>>(), cluster.simulator.shutdown());
    assert_eq!(heard?.len(), 0);
    Ok(())
}
