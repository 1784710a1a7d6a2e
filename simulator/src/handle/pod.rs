//! What only pods have: eviction, binding, and the doors to a running container, which stay shut
//! because nothing runs.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::answer::{Answer, Reply};
use crate::cluster::{Actor, Cluster};
use crate::delete::{self, DeleteOptions};
use crate::handle::{Call, read, verb};
use crate::options::WriteOptions;
use crate::status::Failure;
use crate::tree;
use crate::write::{self, Ownership};

/// Answers a subresource of the addressed pod.
pub fn answer(cluster: &mut Cluster, call: &Call<'_>) -> Result<Reply, Failure> {
    let live = read::find(cluster, call.target)?;
    let act = match call.target.subresource.as_str() {
        "eviction" => evict,
        "binding" => bind,
        _ => {
            let name = &call.target.name;
            let message = format!("pod {name} does not have a host assigned");
            return Err(Failure::bad_request(message));
        }
    };
    if verb(call.request, call.target)? != "create" {
        return Err(Failure::method_not_allowed());
    }
    let options = WriteOptions::parse(call.request)?;
    if options.dry_run {
        act(&mut cluster.scratch(), call, &live, &options)?;
    } else {
        act(cluster, call, &live, &options)?;
    }
    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
        "status": "Success", "code": 201});
    Ok(Answer::other(201, status).into())
}

fn evict(
    cluster: &mut Cluster,
    call: &Call<'_>,
    _: &Arc<Value>,
    _: &WriteOptions,
) -> Result<(), Failure> {
    let (target, wanted) = (call.target, DeleteOptions::default());
    delete::delete(
        cluster,
        target.resource,
        &target.namespace,
        &target.name,
        &wanted,
    )?;
    Ok(())
}

fn bind(
    cluster: &mut Cluster,
    call: &Call<'_>,
    live: &Arc<Value>,
    options: &WriteOptions,
) -> Result<(), Failure> {
    let body = call.request.object()?;
    let mut object = Value::clone(live);
    tree::put(
        &mut object,
        &["spec", "nodeName"],
        tree::text(&body, &["target", "name"]),
    );
    let writer = options.writer(call.request, call.target, &cluster.environment);
    let actor = Actor {
        identity: call.identity,
        writer,
    };
    write::update(
        cluster,
        call.target.resource,
        live,
        object,
        &actor,
        Ownership::Record,
    )?;
    Ok(())
}
