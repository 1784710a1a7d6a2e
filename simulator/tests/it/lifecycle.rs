//! Birth and death: namespaces, finalizers, owners, preconditions.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::Status;
use serde_json::json;

use crate::harness::{Cluster, Outcome, code, object, refusal};

fn reasons(status: &Status) -> Vec<&str> {
    let causes = status
        .details
        .as_ref()
        .map(|details| details.causes.as_slice());
    causes
        .unwrap_or_default()
        .iter()
        .map(|cause| cause.reason.as_str())
        .collect()
}

#[tokio::test]
async fn a_new_namespace_is_furnished() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let found = api.get("n").await?;
    assert_eq!(
        found.status.and_then(|status| status.phase).as_deref(),
        Some("Active")
    );
    assert_eq!(
        found.spec.and_then(|spec| spec.finalizers),
        Some(vec!["kubernetes".to_owned()])
    );
    let labels = found.metadata.labels.unwrap_or_default();
    assert_eq!(
        labels
            .get("kubernetes.io/metadata.name")
            .map(String::as_str),
        Some("n")
    );
    cluster.api::<ServiceAccount>("n").get("default").await?;
    cluster
        .api::<ConfigMap>("n")
        .get("kube-root-ca.crt")
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_namespace_takes_its_contents_along() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let maps: Api<ConfigMap> = cluster.api("n");
    maps.create(
        &PostParams::default(),
        &object(json!({"metadata": {"name": "a"}})),
    )
    .await?;
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    let answer = api.delete("n", &DeleteParams::default()).await?;
    let phase = answer
        .left()
        .and_then(|one| one.status)
        .and_then(|status| status.phase);
    assert_eq!(phase.as_deref(), Some("Terminating"));
    assert!(api.get_opt("n").await?.is_none());
    assert!(maps.get_opt("a").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_finalizer_inside_holds_the_namespace() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let maps: Api<ConfigMap> = cluster.api("n");
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    maps.create(&PostParams::default(), &object(held)).await?;
    let api: Api<Namespace> = Api::all(cluster.client.clone());
    api.delete("n", &DeleteParams::default()).await?;

    let found = api.get("n").await?.status.unwrap_or_default();
    let holds = |kind: &str| {
        let all = found.conditions.iter().flatten();
        all.clone()
            .any(|one| one.type_ == kind && one.status == "True")
    };
    assert!(holds("NamespaceContentRemaining") && holds("NamespaceFinalizersRemaining"));
    let new = object(json!({"metadata": {"name": "b"}}));
    let status = refusal(maps.create(&PostParams::default(), &new).await);
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(reasons(&status), ["NamespaceTerminating"]);

    let release = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("a", &PatchParams::default(), &release).await?;
    assert!(maps.get_opt("a").await?.is_none());
    assert!(api.get_opt("n").await?.is_none());
    Ok(())
}

#[tokio::test]
async fn a_finalizer_holds_an_object_and_cannot_be_added_late() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let held = json!({"metadata": {"name": "a", "finalizers": ["example.com/hold"]}});
    api.create(&PostParams::default(), &object(held)).await?;
    let answer = api.delete("a", &DeleteParams::default()).await?;
    let marked = answer.left().ok_or("the object is shown")?;
    assert!(marked.metadata.deletion_timestamp.is_some());
    let more = Patch::Merge(json!({"metadata": {"finalizers":
        ["example.com/hold", "example.com/more"]}}));
    let result = api.patch("a", &PatchParams::default(), &more).await;
    assert_eq!(code(result), (422, "Invalid".to_owned()));
    Ok(())
}

#[tokio::test]
async fn a_missing_namespace_is_not_found() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("nowhere");
    let new = object(json!({"metadata": {"name": "a"}}));
    let status = refusal(api.create(&PostParams::default(), &new).await);
    assert_eq!(
        (status.code, status.message.as_str()),
        (404, "namespaces \"nowhere\" not found")
    );
    Ok(())
}

#[tokio::test]
async fn preconditions_guard_a_deletion() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let new = object(json!({"metadata": {"name": "a"}}));
    let made = api.create(&PostParams::default(), &new).await?;
    let guarded = |uid: Option<String>| {
        DeleteParams::default().preconditions(Preconditions {
            uid,
            resource_version: None,
        })
    };
    let result = api.delete("a", &guarded(Some("other".to_owned()))).await;
    assert_eq!(code(result), (409, "Conflict".to_owned()));
    api.delete("a", &guarded(made.metadata.uid)).await?;
    assert_eq!(code(api.delete("a", &DeleteParams::default()).await).0, 404);
    Ok(())
}

#[tokio::test]
async fn dependents_go_with_their_owner_or_stay_as_orphans() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    for (params, stays) in [
        (DeleteParams::background(), false),
        (DeleteParams::orphan(), true),
    ] {
        let owner = object(json!({"metadata": {"name": "owner"}}));
        let owner: ConfigMap = api.create(&PostParams::default(), &owner).await?;
        let child = object(json!({"metadata": {"name": "child", "ownerReferences": [
            {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
             "uid": owner.metadata.uid}]}}));
        api.create(&PostParams::default(), &child).await?;
        api.delete("owner", &params).await?;
        assert_eq!(api.get_opt("child").await?.is_some(), stays);
    }
    Ok(())
}
