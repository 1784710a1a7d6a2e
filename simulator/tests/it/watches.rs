//! Watch: order, resume, selectors, bookmarks, too old revisions.

use std::pin::pin;

use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{
    DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::json;

use crate::harness::{Cluster, Outcome, object};

fn labelled(name: &str, app: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name, "labels": {"app": app}}}))
}

fn told(event: &WatchEvent<ConfigMap>) -> String {
    let name = |one: &ConfigMap| one.metadata.name.clone().unwrap_or_default();
    match event {
        WatchEvent::Added(one) => format!("+{}", name(one)),
        WatchEvent::Modified(one) => format!("~{}", name(one)),
        WatchEvent::Deleted(one) => format!("-{}", name(one)),
        WatchEvent::Bookmark(_) => "bookmark".to_owned(),
        WatchEvent::Error(status) => format!("error {}", status.code),
    }
}

async fn hear(
    api: &Api<ConfigMap>,
    params: &WatchParams,
    from: &str,
    count: usize,
) -> kube::Result<Vec<String>> {
    let events = api.watch(params, from).await?;
    let events: Vec<WatchEvent<ConfigMap>> = events.take(count).try_collect().await?;
    Ok(events.iter().map(told).collect())
}

#[tokio::test]
async fn changes_arrive_in_order_and_a_watch_can_resume() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let api: Api<ConfigMap> = cluster.api("n");
    let start = api
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    let made = api
        .create(&PostParams::default(), &labelled("a", "web"))
        .await?;
    let patch = Patch::Merge(json!({"data": {"k": "v"}}));
    api.patch("a", &PatchParams::default(), &patch).await?;
    api.delete("a", &DeleteParams::default()).await?;
    let params = WatchParams::default();
    assert_eq!(hear(&api, &params, &start, 3).await?, ["+a", "~a", "-a"]);
    let middle = made.metadata.resource_version.unwrap_or_default();
    assert_eq!(hear(&api, &params, &middle, 2).await?, ["~a", "-a"]);
    Ok(())
}

#[tokio::test]
async fn a_label_selector_turns_changes_into_comings_and_goings() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let api: Api<ConfigMap> = cluster.api("n");
    let start = api
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    api.create(&PostParams::default(), &labelled("a", "db"))
        .await?;
    for app in ["web", "web2", "db"] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"app": app}}}));
        api.patch("a", &PatchParams::default(), &patch).await?;
    }
    let params = WatchParams::default().labels("app in (web,web2)");
    assert_eq!(hear(&api, &params, &start, 3).await?, ["+a", "~a", "-a"]);
    Ok(())
}

#[tokio::test]
async fn a_watch_without_revision_begins_with_what_exists() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let heard = hear(&api, &WatchParams::default(), "0", 1).await?;
    assert_eq!(heard, ["+kube-root-ca.crt"]);
    Ok(())
}

#[tokio::test]
async fn initial_events_end_with_a_marked_bookmark() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let params = WatchParams::default().initial_events();
    assert_eq!(
        hear(&api, &params, "0", 2).await?,
        ["+kube-root-ca.crt", "bookmark"]
    );
    Ok(())
}

#[tokio::test]
async fn a_watch_ends_after_its_timeout_with_a_bookmark() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("kube-public");
    let start = api
        .list(&ListParams::default())
        .await?
        .metadata
        .resource_version
        .unwrap_or_default();
    let params = WatchParams::default().timeout(1);
    assert_eq!(hear(&api, &params, &start, 10).await?, ["bookmark"]);
    Ok(())
}

#[tokio::test]
async fn a_revision_from_before_a_restart_is_gone() -> Outcome {
    let directory = tempfile::tempdir()?;
    let config = unity_simulator::SimulatorConfig {
        state_file: Some(directory.path().join("state.json")),
        ..Default::default()
    };
    let cluster = Cluster::with(config.clone()).await?;
    cluster.simulator.shutdown().await;
    let cluster = Cluster::with(config).await?;
    let api: Api<ConfigMap> = cluster.api("default");
    assert_eq!(
        hear(&api, &WatchParams::default(), "1", 5).await?,
        ["error 410"]
    );
    Ok(())
}

#[tokio::test]
async fn the_watcher_of_kube_runtime_follows_both_ways_of_listing() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let api: Api<ConfigMap> = cluster.api("n");
    for config in [
        watcher::Config::default(),
        watcher::Config::default().streaming_lists(),
    ] {
        let mut seen = pin!(watcher(api.clone(), config).applied_objects());
        let first = seen.next().await.ok_or("the stream ended")??;
        assert_eq!(first.metadata.name.as_deref(), Some("kube-root-ca.crt"));
        api.create(&PostParams::default(), &labelled("a", "web"))
            .await?;
        let second = seen.next().await.ok_or("the stream ended")??;
        assert_eq!(second.metadata.name.as_deref(), Some("a"));
        api.delete("a", &DeleteParams::default()).await?;
    }
    Ok(())
}
