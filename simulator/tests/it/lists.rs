//! Lists: selectors, paging, past revisions, metadata only.

use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::harness::{Cluster, Outcome, code, object};

async fn names(api: &Api<ConfigMap>, params: &ListParams) -> kube::Result<Vec<String>> {
    let found = api.list(params).await?;
    Ok(found
        .items
        .into_iter()
        .filter_map(|one| one.metadata.name)
        .collect())
}

async fn filled(cluster: &Cluster) -> kube::Result<Api<ConfigMap>> {
    cluster.namespace("n").await?;
    let api: Api<ConfigMap> = cluster.api("n");
    api.delete("kube-root-ca.crt", &DeleteParams::default())
        .await?;
    for (name, app) in [("a", "web"), ("b", "db"), ("c", "web")] {
        let new = object(json!({"metadata": {"name": name, "labels": {"app": app}}}));
        api.create(&PostParams::default(), &new).await?;
    }
    Ok(api)
}

#[tokio::test]
async fn selectors_choose() -> Outcome {
    let cluster = Cluster::start().await?;
    let api = filled(&cluster).await?;
    let all = ["a", "b", "c", "kube-root-ca.crt"];
    for (labels, expected) in [
        ("app=web", &["a", "c"][..]),
        ("app!=web", &["b", "kube-root-ca.crt"]),
        ("app in (db, x)", &["b"]),
        ("!app", &["kube-root-ca.crt"]),
        ("", &all),
    ] {
        assert_eq!(
            names(&api, &ListParams::default().labels(labels)).await?,
            expected,
            "{labels}"
        );
    }
    let one = ListParams::default().fields("metadata.name=b");
    assert_eq!(names(&api, &one).await?, ["b"]);
    assert_eq!(
        code(names(&api, &ListParams::default().fields("data.x=y")).await).0,
        400
    );
    let everywhere: Api<ConfigMap> = Api::all(cluster.client.clone());
    let params = ListParams::default()
        .labels("app")
        .fields("metadata.namespace=n");
    assert_eq!(names(&everywhere, &params).await?, ["a", "b", "c"]);
    Ok(())
}

#[tokio::test]
async fn pods_are_found_by_phase() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<Pod> = cluster.api("default");
    let pod = object(json!({"metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "i"}]}}));
    api.create(&PostParams::default(), &pod).await?;
    let count = async |phase: &str| -> kube::Result<usize> {
        let params = ListParams::default().fields(&format!("status.phase={phase}"));
        Ok(api.list(&params).await?.items.len())
    };
    assert_eq!((count("Pending").await?, count("Running").await?), (1, 0));
    Ok(())
}

#[tokio::test]
async fn pages_show_one_moment() -> Outcome {
    let cluster = Cluster::start().await?;
    let api = filled(&cluster).await?;
    let first = api.list(&ListParams::default().limit(2)).await?;
    assert_eq!(first.metadata.remaining_item_count, Some(2));
    api.delete("c", &DeleteParams::default()).await?;
    let token = first.metadata.continue_.ok_or("a token")?;
    let second = ListParams::default().limit(2).continue_token(&token);
    assert_eq!(names(&api, &second).await?, ["c", "kube-root-ca.crt"]);
    assert_eq!(
        names(&api, &ListParams::default()).await?,
        ["a", "b", "kube-root-ca.crt"]
    );
    Ok(())
}

#[tokio::test]
async fn a_revision_in_the_future_times_out() -> Outcome {
    let cluster = Cluster::start().await?;
    let path = "/api/v1/configmaps?resourceVersion=999999999";
    let (code, status) = cluster.raw("GET", path, "application/json", b"").await?;
    assert_eq!((code, status["reason"].as_str()), (504, Some("Timeout")));
    Ok(())
}

#[tokio::test]
async fn metadata_can_be_had_alone() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let found = api.list_metadata(&ListParams::default()).await?;
    let first = found.items.first().ok_or("an item")?;
    assert_eq!(first.metadata.name.as_deref(), Some("kube-root-ca.crt"));
    assert!(
        api.get_metadata("kube-root-ca.crt")
            .await?
            .metadata
            .uid
            .is_some()
    );
    Ok(())
}

#[tokio::test]
async fn a_collection_is_deleted_by_selector() -> Outcome {
    let cluster = Cluster::start().await?;
    let api = filled(&cluster).await?;
    let gone = ListParams::default().labels("app=web");
    api.delete_collection(&DeleteParams::default(), &gone)
        .await?;
    assert_eq!(
        names(&api, &ListParams::default()).await?,
        ["b", "kube-root-ca.crt"]
    );
    Ok(())
}
