//! Discovery, tables, media types: what clients rely on before they see an object.

use http::Request;
use kube::discovery::{Discovery, Scope};
use serde_json::Value;

use crate::harness::{Cluster, Outcome};

async fn get(
    cluster: &Cluster,
    path: &str,
    accept: &str,
) -> Result<Value, Box<dyn std::error::Error>> {
    let request = Request::get(path)
        .header("accept", accept)
        .body(Vec::new())?;
    Ok(serde_json::from_str(
        &cluster.client.request_text(request).await?,
    )?)
}

#[tokio::test]
async fn both_ways_of_discovery_find_every_kind() -> Outcome {
    let cluster = Cluster::start().await?;
    let plain = Discovery::new(cluster.client.clone()).run().await?;
    let aggregated = Discovery::new(cluster.client.clone())
        .run_aggregated()
        .await?;
    for found in [plain, aggregated] {
        let groups: Vec<&str> = found
            .groups()
            .map(kube::discovery::ApiGroup::name)
            .collect();
        assert!(
            groups.contains(&"") && groups.contains(&"apps"),
            "{groups:?}"
        );
        let (deployment, abilities) = found
            .groups()
            .flat_map(kube::discovery::ApiGroup::recommended_resources)
            .find(|(resource, _)| resource.kind == "Deployment")
            .ok_or("deployments are served")?;
        assert_eq!(
            (deployment.plural.as_str(), abilities.scope),
            ("deployments", Scope::Namespaced)
        );
        assert_eq!(abilities.subresources.len(), 2);
    }
    assert_eq!(cluster.client.apiserver_version().await?.minor, "33");
    Ok(())
}

#[tokio::test]
async fn tables_have_the_columns_that_kubectl_prints() -> Outcome {
    let cluster = Cluster::start().await?;
    let accept = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json";
    let table = get(&cluster, "/api/v1/namespaces", accept).await?;
    let names: Vec<&Value> = table["columnDefinitions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(names, ["Name", "Status", "Age"]);
    assert_eq!(table["rows"][0]["cells"][1], "Active");
    assert_eq!(table["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    Ok(())
}

#[tokio::test]
async fn the_openapi_document_says_that_fields_are_validated() -> Outcome {
    let cluster = Cluster::start().await?;
    let index = get(&cluster, "/openapi/v3", "application/json").await?;
    let url = index["paths"]["apis/apps/v1"]["serverRelativeURL"]
        .as_str()
        .ok_or("a URL")?;
    let document = get(&cluster, url, "application/json").await?;
    let path = "/apis/apps/v1/namespaces/{namespace}/deployments/{name}";
    let parameters = document["paths"][path]["patch"]["parameters"]
        .as_array()
        .ok_or("a list")?;
    assert!(
        parameters
            .iter()
            .any(|one| one["name"] == "fieldValidation")
    );
    let schemas = &document["components"]["schemas"];
    let ports = &schemas["io.k8s.api.core.v1.Container"]["properties"]["ports"];
    assert_eq!(ports["x-kubernetes-patch-merge-key"], "containerPort");
    Ok(())
}

#[tokio::test]
async fn unknown_paths_and_methods_have_their_status() -> Outcome {
    let cluster = Cluster::start().await?;
    for (method, path, code) in [
        ("GET", "/apis/example.com/v1/things", 404),
        ("GET", "/api/v1/namespaces/default/nodes", 404),
        ("PUT", "/api/v1/namespaces", 405),
        ("POST", "/api/v1/configmaps", 405),
        ("GET", "/api/v1/namespaces/default/pods/none/log", 404),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .body(b"{}".to_vec())?;
        let result = cluster.client.request_text(request).await;
        assert_eq!(crate::harness::code(result).0, code, "{method} {path}");
    }
    Ok(())
}

#[tokio::test]
async fn bodies_may_come_in_protobuf_but_not_in_anything() -> Outcome {
    let cluster = Cluster::start().await?;
    let path = "/api/v1/namespaces/default/configmaps";
    // kind and version, then an object with metadata.name = "a".
    let body = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x05\x0a\x03\x0a\x01a";
    let (code, made) = cluster
        .raw("POST", path, "application/vnd.kubernetes.protobuf", body)
        .await?;
    assert_eq!((code, made["metadata"]["name"].as_str()), (201, Some("a")));
    let (code, status) = cluster.raw("POST", path, "application/cbor", b"x").await?;
    assert_eq!(
        (code, status["reason"].as_str()),
        (415, Some("UnsupportedMediaType"))
    );
    Ok(())
}
