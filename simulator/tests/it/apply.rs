//! Server-side apply: conflicts, sharing, letting go, idempotence.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{Cluster, Outcome, object, refusal};

fn config_map(data: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "conf"}, "data": data})
}

async fn apply(api: &Api<ConfigMap>, manager: &str, data: Value) -> kube::Result<ConfigMap> {
    let params = PatchParams::apply(manager);
    api.patch("conf", &params, &Patch::Apply(config_map(&data)))
        .await
}

#[tokio::test]
async fn applying_creates_and_applying_again_writes_nothing() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let first = apply(&api, "one", json!({"a": "1"})).await?;
    let again = apply(&api, "one", json!({"a": "1"})).await?;
    assert_eq!(first.metadata, again.metadata);
    let changed = apply(&api, "one", json!({"a": "2"})).await?;
    assert_ne!(
        first.metadata.resource_version,
        changed.metadata.resource_version
    );
    Ok(())
}

#[tokio::test]
async fn a_conflict_names_the_other_manager_and_the_field_until_forced() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    apply(&api, "one", json!({"a": "1", "b": "1"})).await?;
    let status = refusal(apply(&api, "two", json!({"a": "2"})).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    let causes = status
        .details
        .map(|details| details.causes)
        .unwrap_or_default();
    let cause = causes.first().expect("a cause");
    assert_eq!(cause.reason, "FieldManagerConflict");
    assert_eq!(cause.message, "conflict with \"one\"");
    assert_eq!(cause.field, ".data.a");

    let params = PatchParams::apply("two").force();
    api.patch(
        "conf",
        &params,
        &Patch::Apply(config_map(&json!({"a": "2"}))),
    )
    .await?;
    let status = refusal(apply(&api, "one", json!({"a": "1", "b": "1"})).await);
    assert_eq!(status.code, 409);
    Ok(())
}

#[tokio::test]
async fn a_field_goes_when_its_last_owner_lets_go() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    apply(&api, "one", json!({"a": "1", "b": "1"})).await?;
    apply(&api, "two", json!({"a": "1"})).await?;
    let left = apply(&api, "one", json!({"b": "1"})).await?;
    assert!(left.data.unwrap_or_default().contains_key("a"));
    let left = apply(&api, "two", json!({})).await?;
    assert!(!left.data.unwrap_or_default().contains_key("a"));
    Ok(())
}

#[tokio::test]
async fn a_plain_write_becomes_an_owner_too() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let mut live = apply(&api, "one", json!({"a": "1"})).await?;
    live.data
        .get_or_insert_default()
        .insert("a".to_owned(), "9".to_owned());
    let params = PostParams {
        field_manager: Some("editor".to_owned()),
        ..PostParams::default()
    };
    api.replace("conf", &params, &live).await?;
    let status = refusal(apply(&api, "one", json!({"a": "1"})).await);
    assert_eq!(
        status.message,
        "Apply failed with 1 conflict: conflict with \"editor\" using v1: .data.a"
    );
    Ok(())
}

#[tokio::test]
async fn containers_are_owned_one_by_one() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<Deployment> = cluster.api("default");
    let deployment = |containers: Value| {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
            "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": {
                "metadata": {"labels": {"app": "web"}}, "spec": {"containers": containers}}}})
    };
    let web = json!({"name": "web", "image": "w:1", "ports": [{"containerPort": 80}]});
    let base = deployment(json!([web]));
    api.patch("web", &PatchParams::apply("one"), &Patch::Apply(&base))
        .await?;
    let both = deployment(json!([{"name": "side", "image": "s:1"}]));
    api.patch("web", &PatchParams::apply("two"), &Patch::Apply(&both))
        .await?;
    let names = |found: Deployment| -> Vec<String> {
        let spec = found
            .spec
            .and_then(|spec| spec.template.spec)
            .unwrap_or_default();
        spec.containers
            .into_iter()
            .map(|container| container.name)
            .collect()
    };
    assert_eq!(names(api.get("web").await?).len(), 2);
    let nothing = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web"}});
    let left = api
        .patch("web", &PatchParams::apply("two"), &Patch::Apply(&nothing))
        .await?;
    assert_eq!(names(left), ["web"]);
    Ok(())
}

#[tokio::test]
async fn network_policy_rules_are_owned_as_a_whole() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<NetworkPolicy> = cluster.api("default");
    let policy = |port: u16| {
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": "p"}, "spec": {"podSelector": {},
                "ingress": [{"ports": [{"port": port}]}]}})
    };
    api.patch("p", &PatchParams::apply("one"), &Patch::Apply(policy(80)))
        .await?;
    let result = api
        .patch("p", &PatchParams::apply("two"), &Patch::Apply(policy(81)))
        .await;
    let causes = refusal(result)
        .details
        .map(|details| details.causes)
        .unwrap_or_default();
    let fields: Vec<&str> = causes.iter().map(|cause| cause.field.as_str()).collect();
    assert_eq!(fields, [".spec.ingress"]);
    Ok(())
}

#[tokio::test]
async fn defaults_do_not_disturb_an_idempotent_apply() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<k8s_openapi::api::core::v1::Secret> = cluster.api("default");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"},
        "stringData": {"k": "v"}});
    let params = PatchParams::apply("one");
    let first = api.patch("s", &params, &Patch::Apply(&secret)).await?;
    let again = api.patch("s", &params, &Patch::Apply(&secret)).await?;
    assert_eq!(
        first.metadata.resource_version,
        again.metadata.resource_version
    );

    let quota = json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"},
        "spec": {"hard": {"requests.cpu": "0.5", "configmaps": "10"}}});
    let api: Api<k8s_openapi::api::core::v1::ResourceQuota> = cluster.api("default");
    let first = api.patch("q", &params, &Patch::Apply(&quota)).await?;
    let again = api.patch("q", &params, &Patch::Apply(&quota)).await?;
    assert_eq!(first, again);
    Ok(())
}

#[tokio::test]
async fn an_apply_without_manager_or_with_unknown_fields_is_refused() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let patch = Patch::Apply(config_map(&json!({})));
    let status = refusal(api.patch("conf", &PatchParams::apply(""), &patch).await);
    assert_eq!(status.code, 422);
    let patch = Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "dada": {}}));
    let status = refusal(api.patch("conf", &PatchParams::apply("one"), &patch).await);
    assert!(
        status
            .message
            .ends_with(".dada: field not declared in schema"),
        "{status:?}"
    );
    Ok(())
}

#[tokio::test]
async fn status_belongs_to_those_who_write_status() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<Deployment> = cluster.api("default");
    let base = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {
            "metadata": {"labels": {"a": "b"}},
            "spec": {"containers": [{"name": "c", "image": "i"}]}}},
        "status": {"replicas": 7}});
    let made: Deployment = api
        .create(&PostParams::default(), &object(base.clone()))
        .await?;
    assert_eq!(made.status.and_then(|status| status.replicas), None);
    let status = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"},
        "spec": {"replicas": 9}, "status": {"replicas": 3}});
    let params = PatchParams::apply("kubelet");
    let live = api
        .patch_status("web", &params, &Patch::Apply(&status))
        .await?;
    assert_eq!(live.status.and_then(|status| status.replicas), Some(3));
    assert_eq!(live.spec.and_then(|spec| spec.replicas), Some(1));
    assert_eq!(live.metadata.generation, Some(1));
    let entries = live.metadata.managed_fields.unwrap_or_default();
    let entry = entries
        .iter()
        .find(|one| one.manager.as_deref() == Some("kubelet"));
    assert_eq!(
        entry.and_then(|one| one.subresource.as_deref()),
        Some("status")
    );
    Ok(())
}
