//! Resource quotas and limit ranges.

use k8s_openapi::api::core::v1::{ConfigMap, LimitRange, Pod, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, PostParams};
use serde_json::json;

use crate::harness::{Cluster, Outcome, object, refusal};

#[tokio::test]
async fn objects_are_counted_and_the_first_too_many_is_refused() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let post = PostParams::default();
    let quotas: Api<ResourceQuota> = cluster.api("n");
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"configmaps": "2"}}});
    quotas.create(&post, &object(quota)).await?;
    let used = async || -> kube::Result<String> {
        let status = quotas.get("q").await?.status.unwrap_or_default();
        let used = status.used.unwrap_or_default();
        Ok(used
            .get("configmaps")
            .map(|one| one.0.clone())
            .unwrap_or_default())
    };
    // The certificate bundle of the namespace counts too.
    assert_eq!(used().await?, "1");
    let maps: Api<ConfigMap> = cluster.api("n");
    let map = |name: &str| -> ConfigMap { object(json!({"metadata": {"name": name}})) };
    maps.create(&post, &map("a")).await?;
    let status = refusal(maps.create(&post, &map("b")).await);
    assert_eq!((status.code, status.reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        status.message,
        "configmaps \"b\" is forbidden: exceeded quota: q, requested: configmaps=1, used: \
         configmaps=2, limited: configmaps=2"
    );
    maps.delete("a", &DeleteParams::default()).await?;
    assert_eq!(used().await?, "1");
    maps.create(&post, &map("b")).await?;
    Ok(())
}

#[tokio::test]
async fn compute_must_be_stated_unless_a_limit_range_states_it() -> Outcome {
    let cluster = Cluster::start().await?;
    cluster.namespace("n").await?;
    let post = PostParams::default();
    let quota = json!({"metadata": {"name": "q"}, "spec": {"hard": {"requests.cpu": "1"}}});
    cluster
        .api::<ResourceQuota>("n")
        .create(&post, &object(quota))
        .await?;
    let pods: Api<Pod> = cluster.api("n");
    let pod = |name: &str| -> Pod {
        object(json!({"metadata": {"name": name}, "spec": {"containers": [
            {"name": "c", "image": "i"}]}}))
    };
    let status = refusal(pods.create(&post, &pod("a")).await);
    assert!(
        status
            .message
            .ends_with("failed quota: q: must specify requests.cpu for: c")
    );
    let limits = json!({"metadata": {"name": "l"}, "spec": {"limits": [
        {"type": "Container", "defaultRequest": {"cpu": "600m"}}]}});
    cluster
        .api::<LimitRange>("n")
        .create(&post, &object(limits))
        .await?;
    pods.create(&post, &pod("a")).await?;
    let status = refusal(pods.create(&post, &pod("b")).await);
    assert!(
        status.message.ends_with(
            "requested: requests.cpu=600m, used: requests.cpu=600m, limited: requests.cpu=1"
        ),
        "{}",
        status.message
    );
    Ok(())
}
