//! Create, replace, patch: conflicts, validation, dry run, generated names, subresources.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use k8s_openapi::api::rbac::v1::RoleBinding;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::harness::{Cluster, Outcome, code, object, refusal};

fn deployment() -> Deployment {
    object(json!({"metadata": {"name": "web"}, "spec": {
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {
            "containers": [{"name": "web", "image": "w:1"}]}}}}))
}

fn config_map(name: &str) -> ConfigMap {
    object(json!({"metadata": {"name": name}}))
}

#[tokio::test]
async fn a_name_is_taken_once_and_generated_names_differ() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let post = PostParams::default();
    let made = api.create(&post, &config_map("a")).await?;
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    let status = refusal(api.create(&post, &config_map("a")).await);
    assert_eq!(status.reason, "AlreadyExists");
    assert_eq!(status.message, "configmaps \"a\" already exists");
    let generated: ConfigMap = object(json!({"metadata": {"generateName": "x-"}}));
    let one = api.create(&post, &generated).await?.metadata.name;
    let other = api.create(&post, &generated).await?.metadata.name;
    assert_ne!(one, other);
    Ok(())
}

#[tokio::test]
async fn a_stale_replace_is_a_conflict_and_an_equal_one_writes_nothing() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let post = PostParams::default();
    let first = api.create(&post, &config_map("a")).await?;
    let same = api.replace("a", &post, &first).await?;
    assert_eq!(
        first.metadata.resource_version,
        same.metadata.resource_version
    );
    let mut changed = first.clone();
    changed.data = Some([("k".to_owned(), "v".to_owned())].into());
    api.replace("a", &post, &changed).await?;
    let status = refusal(api.replace("a", &post, &changed).await);
    assert_eq!((status.code, status.reason.as_str()), (409, "Conflict"));
    assert!(status.message.contains("the object has been modified"));
    Ok(())
}

#[tokio::test]
async fn the_patch_formats_all_work() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<Deployment> = cluster.api("default");
    api.create(&PostParams::default(), &deployment()).await?;
    let params = PatchParams::default();
    let side = json!({"spec": {"template": {"spec": {"containers": [
        {"name": "side", "image": "s:1"}]}}}});
    let strategic = api.patch("web", &params, &Patch::Strategic(&side)).await?;
    let count = |found: &Deployment| -> usize {
        let spec = found
            .spec
            .as_ref()
            .and_then(|spec| spec.template.spec.as_ref());
        spec.map_or(0, |spec| spec.containers.len())
    };
    assert_eq!(count(&strategic), 2);
    let merged = api.patch("web", &params, &Patch::Merge(&side)).await?;
    assert_eq!(count(&merged), 1);
    assert_eq!(merged.metadata.generation, Some(3));
    let operations: Value = json!([{"op": "replace", "path": "/spec/replicas", "value": 4}]);
    let patch: Patch<()> = Patch::Json(serde_json::from_value(operations)?);
    let replaced = api.patch("web", &params, &patch).await?;
    assert_eq!(replaced.spec.and_then(|spec| spec.replicas), Some(4));
    Ok(())
}

#[tokio::test]
async fn a_dry_run_answers_and_leaves_nothing() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let shown = api.create(&dry, &config_map("a")).await?;
    assert!(shown.metadata.uid.is_some());
    assert!(api.get_opt("a").await?.is_none());
    api.create(&PostParams::default(), &config_map("a")).await?;
    let before = api.get("a").await?;
    let patch = Patch::Apply(json!({"apiVersion": "v1", "kind": "ConfigMap", "data": {"k": "v"}}));
    api.patch("a", &PatchParams::apply("m").dry_run(), &patch)
        .await?;
    api.delete("a", &DeleteParams::default().dry_run()).await?;
    assert_eq!(api.get("a").await?, before);
    Ok(())
}

#[tokio::test]
async fn invalid_objects_are_refused_field_by_field() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    let status = refusal(
        api.create(&PostParams::default(), &config_map("Not_A_Name"))
            .await,
    );
    assert_eq!((status.code, status.reason.as_str()), (422, "Invalid"));
    let causes = status
        .details
        .map(|details| details.causes)
        .unwrap_or_default();
    let fields: Vec<_> = causes
        .iter()
        .map(|one| (one.reason.as_str(), one.field.as_str()))
        .collect();
    assert_eq!(fields, [("FieldValueInvalid", "metadata.name")]);
    let patch = Patch::Merge(
        json!({"spec": {"selector": {"matchLabels": {"app": "other"}},
        "template": {"metadata": {"labels": {"app": "other"}}}}}),
    );
    let api: Api<Deployment> = cluster.api("default");
    api.create(&PostParams::default(), &deployment()).await?;
    let status = refusal(api.patch("web", &PatchParams::default(), &patch).await);
    assert!(
        status.message.contains("spec.selector: Invalid value"),
        "{status:?}"
    );
    assert!(status.message.ends_with("field is immutable"), "{status:?}");
    Ok(())
}

#[tokio::test]
async fn a_role_binding_keeps_its_role() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<RoleBinding> = cluster.api("default");
    let binding = |role: &str| -> Value {
        json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
            "metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole", "name": role}})
    };
    let params = PatchParams::apply("m");
    api.patch("b", &params, &Patch::Apply(binding("view")))
        .await?;
    let status = refusal(
        api.patch("b", &params, &Patch::Apply(binding("edit")))
            .await,
    );
    assert_eq!(status.code, 422);
    assert!(
        status.message.ends_with("cannot change roleRef"),
        "{status:?}"
    );
    Ok(())
}

#[tokio::test]
async fn unknown_fields_are_refused_when_asked_to() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<ConfigMap> = cluster.api("default");
    api.create(&PostParams::default(), &config_map("a")).await?;
    let patch = Patch::Merge(json!({"dada": {"k": "v"}}));
    let status = refusal(
        api.patch("a", &PatchParams::default().validation_strict(), &patch)
            .await,
    );
    assert_eq!(status.code, 400);
    assert!(
        status
            .message
            .ends_with("strict decoding error: unknown field \"dada\"")
    );
    api.patch("a", &PatchParams::default().validation_ignore(), &patch)
        .await?;
    Ok(())
}

#[tokio::test]
async fn scaling_changes_the_replicas_only() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<Deployment> = cluster.api("default");
    api.create(&PostParams::default(), &deployment()).await?;
    let patch = Patch::Merge(json!({"spec": {"replicas": 5}}));
    let scale = api
        .patch_scale("web", &PatchParams::default(), &patch)
        .await?;
    assert_eq!(scale.spec.and_then(|spec| spec.replicas), Some(5));
    let found = api.get("web").await?;
    assert_eq!(found.spec.and_then(|spec| spec.replicas), Some(5));
    assert_eq!(
        api.get_scale("web").await?.metadata.name.as_deref(),
        Some("web")
    );
    Ok(())
}

#[tokio::test]
async fn a_service_keeps_the_address_it_was_given() -> Outcome {
    let cluster = Cluster::start().await?;
    let api: Api<Service> = cluster.api("default");
    let service: Service = object(json!({"metadata": {"name": "s"}, "spec": {"ports": [
        {"port": 80}]}}));
    let made = api.create(&PostParams::default(), &service).await?;
    let address = made.spec.and_then(|spec| spec.cluster_ip);
    assert!(address.is_some());
    let replaced = api.replace("s", &PostParams::default(), &service).await?;
    assert_eq!(replaced.spec.and_then(|spec| spec.cluster_ip), address);
    assert_eq!(code(api.get("none").await).0, 404);
    Ok(())
}
