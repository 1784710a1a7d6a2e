//! `PATCH` in its four formats; server-side apply may create.

use std::sync::Arc;

use serde_json::Value;

use crate::answer::{Answer, Reply};
use crate::authorize;
use crate::cluster::{Actor, Cluster};
use crate::handle::{Call, attributes, read};
use crate::merge::{json, strategic};
use crate::options::{FieldValidation, WriteOptions, check_place, decode_object};
use crate::status::{Cause, Failure};
use crate::write::{self, Ownership};
use crate::{managed_fields, metadata, tree};

const APPLY: &str = "application/apply-patch+yaml";
const JSON: &str = "application/json-patch+json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// Changes the object as the body says.
pub fn patch(
    cluster: &mut Cluster,
    call: &Call<'_>,
    options: &WriteOptions,
) -> Result<Reply, Failure> {
    if call.request.content_type() == APPLY {
        return apply(cluster, call, options);
    }
    let target = call.target;
    let live = read::find(cluster, target)?;
    let patched = patched(call, &live)?;
    let decoded = decode_object(target.resource, patched, options.validation)?;
    let mut object = decoded.object;
    check_place(target, &mut object)?;
    let actor = Actor {
        identity: call.identity,
        writer: options.writer(call.request, target, &cluster.environment),
    };
    let stored = write::update(
        cluster,
        target.resource,
        &live,
        object,
        &actor,
        Ownership::Record,
    )?;
    Ok(Reply {
        answer: Answer::ok(target.resource, stored),
        warnings: decoded.warnings,
    })
}

/// `live` with the patch of the body carried out.
pub fn patched(call: &Call<'_>, live: &Value) -> Result<Value, Failure> {
    let body = call.request.json()?;
    match call.request.content_type() {
        JSON => json::json_patch(live, body),
        MERGE => Ok(json::merge_patch(live, &body)),
        STRATEGIC => strategic::merge(&write::shape_of(call.target.resource), live, &body),
        other => {
            let accepted = [JSON, MERGE, STRATEGIC, APPLY].join(", ");
            Err(Failure::unsupported_media(other, &accepted))
        }
    }
}

fn apply(cluster: &mut Cluster, call: &Call<'_>, options: &WriteOptions) -> Result<Reply, Failure> {
    let target = call.target;
    let config = configuration(call, options)?;
    let writer = options.writer(call.request, target, &cluster.environment);
    let actor = Actor {
        identity: call.identity,
        writer,
    };
    let shape = write::shape_of(target.resource);
    let found = cluster
        .store
        .get(target.resource, &target.namespace, &target.name)
        .map(Arc::clone);
    let Some(live) = found else {
        return apply_new(cluster, call, &config, &actor);
    };
    metadata::check_assumptions(target.resource, &live, &config)?;
    let object = managed_fields::apply(&shape, Some(&live), &config, &actor.writer, options.force)?;
    let stored = write::update(
        cluster,
        target.resource,
        &live,
        object,
        &actor,
        Ownership::Declared,
    )?;
    Ok(Answer::ok(target.resource, stored).into())
}

fn apply_new(
    cluster: &mut Cluster,
    call: &Call<'_>,
    config: &Value,
    actor: &Actor<'_>,
) -> Result<Reply, Failure> {
    let target = call.target;
    if !target.subresource.is_empty() {
        return Err(Failure::not_found(target.resource, &target.name));
    }
    authorize::require(&cluster.store, call.identity, &attributes(call, "create"))?;
    if !tree::text(config, &["metadata", "resourceVersion"]).is_empty() {
        return Err(Failure::stale(target.resource, &target.name));
    }
    let shape = write::shape_of(target.resource);
    let object = managed_fields::apply(&shape, None, config, &actor.writer, false)?;
    let stored = write::create(
        cluster,
        target.resource,
        &target.namespace,
        object,
        actor,
        Ownership::Declared,
    )?;
    let answer = Answer::Object {
        code: 201,
        resource: Some(target.resource),
        object: stored,
    };
    Ok(answer.into())
}

/// The configuration of an apply, which must be complete in itself and know all its fields.
fn configuration(call: &Call<'_>, options: &WriteOptions) -> Result<Value, Failure> {
    let target = call.target;
    if options.manager.is_empty() {
        let cause = Cause::required("fieldManager", "is required for apply patch");
        return Err(Failure::invalid(
            "meta.k8s.io",
            "PatchOptions",
            "",
            &[cause],
        ));
    }
    let body = call.request.yaml()?;
    for field in ["apiVersion", "kind"] {
        if tree::text(&body, &[field]).is_empty() {
            return Err(Failure::bad_request(format!(
                "{field} must be set in an apply patch"
            )));
        }
    }
    if !tree::items(&body, &["metadata", "managedFields"]).is_empty() {
        return Err(Failure::bad_request("metadata.managedFields must be nil"));
    }
    let mut decoded = decode_object(target.resource, body, FieldValidation::Warn)?;
    if let Some(unknown) = decoded.unknown.first() {
        let resource = target.resource;
        let message = format!(
            "failed to create typed patch object ({}/{}; {}/{}, Kind={}): .{unknown}: field not \
             declared in schema",
            target.namespace, target.name, resource.group, resource.version, resource.kind
        );
        return Err(Failure {
            reason: "",
            ..Failure::internal(message)
        });
    }
    if tree::text(&decoded.object, &["metadata", "name"]).is_empty() {
        tree::put(
            &mut decoded.object,
            &["metadata", "name"],
            target.name.as_str(),
        );
    }
    check_place(target, &mut decoded.object)?;
    Ok(decoded.object)
}
