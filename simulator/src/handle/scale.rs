//! `/scale`: the replica count of a workload as an object of its own.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::answer::{Answer, Reply};
use crate::cluster::{Actor, Cluster};
use crate::handle::{Call, patch, read, verb};
use crate::options::WriteOptions;
use crate::status::{Cause, Failure};
use crate::tree;
use crate::write::{self, Ownership};

/// Reads or changes the scale of the addressed object.
pub fn answer(cluster: &mut Cluster, call: &Call<'_>) -> Result<Reply, Failure> {
    let live = read::find(cluster, call.target)?;
    let before = scale_of(&live);
    let wanted = match verb(call.request, call.target)? {
        "get" => return Ok(Answer::other(200, before).into()),
        "update" => call.request.object()?,
        "patch" => patch::patched(call, &before)?,
        _ => return Err(Failure::method_not_allowed()),
    };
    let options = WriteOptions::parse(call.request)?;
    if options.dry_run {
        return change(&mut cluster.scratch(), call, &live, &wanted, &options);
    }
    change(cluster, call, &live, &wanted, &options)
}

fn change(
    cluster: &mut Cluster,
    call: &Call<'_>,
    live: &Arc<Value>,
    wanted: &Value,
    options: &WriteOptions,
) -> Result<Reply, Failure> {
    let target = call.target;
    let replicas = tree::number(wanted, &["spec", "replicas"]).unwrap_or(0);
    if replicas < 0 {
        let why = "must be greater than or equal to 0";
        let cause = Cause::invalid("spec.replicas", &json!(replicas), why);
        return Err(Failure::invalid(
            "autoscaling",
            "Scale",
            &target.name,
            &[cause],
        ));
    }
    let mut object = Value::clone(live);
    tree::put(&mut object, &["spec", "replicas"], replicas);
    tree::carry(wanted, &mut object, &["metadata", "resourceVersion"]);
    let actor = Actor {
        identity: call.identity,
        writer: options.writer(call.request, target, &cluster.environment),
    };
    let stored = write::update(
        cluster,
        target.resource,
        live,
        object,
        &actor,
        Ownership::Record,
    )?;
    Ok(Answer::other(200, scale_of(&stored)).into())
}

fn scale_of(object: &Value) -> Value {
    let mut metadata = Map::new();
    for name in [
        "name",
        "namespace",
        "uid",
        "resourceVersion",
        "creationTimestamp",
    ] {
        if let Some(value) = tree::at(object, &["metadata", name]) {
            metadata.insert(name.to_owned(), value.clone());
        }
    }
    let selector = tree::at(object, &["spec", "selector"]).unwrap_or(&Value::Null);
    // A replication controller selects with a bare map.
    let labels = selector.get("matchLabels").unwrap_or(selector).as_object();
    let selector = labels
        .into_iter()
        .flatten()
        .filter_map(|(key, value)| Some(format!("{key}={}", value.as_str()?)))
        .collect::<Vec<_>>()
        .join(",");
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": metadata,
        "spec": {"replicas": tree::number(object, &["spec", "replicas"]).unwrap_or(0)},
        "status": {
            "replicas": tree::number(object, &["status", "replicas"]).unwrap_or(0),
            "selector": selector,
        },
    })
}
