//! The one way an object is created or changed: filled in, checked, admitted, owned, stored.
//!
//! Every verb ends here, so that no rule holds for `PUT` and is forgotten for `PATCH`.

use std::sync::Arc;

use serde_json::Value;

use crate::cluster::{Actor, Cluster, settle};
use crate::managed_fields;
use crate::resources::Resource;
use crate::schema::Shape;
use crate::status::{Cause, Failure};
use crate::{
    birth, decode, defaults, escalation, immutable, limit_range, metadata, namespace, quota, rules,
    tree, validate,
};

/// Whether the record of field ownership is still to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// A plain write: whatever differs becomes the writer's.
    Record,
    /// An apply: the object already says who owns what.
    Declared,
}

/// The shape of a resource's objects.
pub fn shape_of(resource: &Resource) -> Shape {
    crate::schema::named(&resource.schema_name())
}

/// Creates an object and returns it as stored.
///
/// # Errors
/// 403 or 404 from the namespace and its quotas, 422 for an object that is not valid, 409 when
/// the name is taken.
pub fn create(
    cluster: &mut Cluster,
    resource: &'static Resource,
    in_namespace: &str,
    mut object: Value,
    actor: &Actor<'_>,
    ownership: Ownership,
) -> Result<Arc<Value>, Failure> {
    metadata::born(resource, &mut object, in_namespace, &cluster.environment);
    let name = tree::text(&object, &["metadata", "name"]).to_owned();
    namespace::admit(&cluster.store, resource, in_namespace, &name)?;
    if resource.has_status() {
        tree::take(&mut object, &["status"]);
    }
    defaults::fill(resource, &mut object);
    birth::complete(resource, &mut object, cluster);
    limit_range::fill(&cluster.store, resource, &mut object);
    let shape = shape_of(resource);
    decode::normalize(&shape, &mut object);
    escalation::refuse(&cluster.store, actor.identity, resource, None, &object)?;
    quota::admit(&cluster.store, resource, None, &object)?;
    let mut causes = Vec::new();
    if name.is_empty() {
        causes.push(Cause::required(
            "metadata.name",
            "name or generateName is required",
        ));
    } else {
        causes.extend(validate::metadata(resource, &object));
    }
    decode::missing(&shape, &object, "", &mut causes);
    causes.extend(rules::check(resource, &object));
    refuse(resource, &name, &causes)?;
    if cluster.store.get(resource, in_namespace, &name).is_some() {
        return Err(Failure::already_exists(resource, &name));
    }
    if ownership == Ownership::Record {
        managed_fields::record_update(&shape, None, &mut object, &actor.writer);
    }
    let stored = cluster.store.put(resource, object);
    settle(cluster, resource, &crate::store::key_of(&stored));
    Ok(current(cluster, resource, &stored))
}

/// Changes `live` into `sent` and returns the object as stored; nothing is written when nothing
/// differs.
///
/// # Errors
/// 409 when `sent` assumes another state, 422 when the result is not valid, 403 from quotas and
/// RBAC.
pub fn update(
    cluster: &mut Cluster,
    resource: &'static Resource,
    live: &Arc<Value>,
    sent: Value,
    actor: &Actor<'_>,
    ownership: Ownership,
) -> Result<Arc<Value>, Failure> {
    metadata::check_assumptions(resource, live, &sent)?;
    let subresource = actor.writer.subresource.as_str();
    let mut object = separate(resource, subresource, live, sent);
    metadata::keep(live, &mut object);
    defaults::fill(resource, &mut object);
    birth::keep(resource, live, &mut object);
    let shape = shape_of(resource);
    decode::normalize(&shape, &mut object);
    escalation::refuse(
        &cluster.store,
        actor.identity,
        resource,
        Some(live),
        &object,
    )?;
    let name = tree::text(live, &["metadata", "name"]).to_owned();
    if subresource != "status" {
        quota::admit(&cluster.store, resource, Some(live), &object)?;
        let mut causes = validate::metadata(resource, &object);
        causes.extend(metadata::added_finalizers(live, &object));
        decode::missing(&shape, &object, "", &mut causes);
        causes.extend(rules::check(resource, &object));
        causes.extend(immutable::check(resource, live, &object));
        refuse(resource, &name, &causes)?;
    }
    metadata::advance_generation(resource, live, &mut object);
    if ownership == Ownership::Record {
        managed_fields::record_update(&shape, Some(live), &mut object, &actor.writer);
    }
    if managed_fields::is_same_but_for_times(live, &object) {
        return Ok(Arc::clone(live));
    }
    Ok(store(cluster, resource, object))
}

/// Stores the object, or lets it go when nothing holds it any more.
fn store(cluster: &mut Cluster, resource: &'static Resource, object: Value) -> Arc<Value> {
    let (in_namespace, name) = crate::store::key_of(&object);
    let is_ready = metadata::is_ready_to_go(&object);
    let mut stored = cluster.store.put(resource, object);
    if is_ready {
        if let Some(last) = cluster.store.remove(resource, &in_namespace, &name) {
            stored = last;
        }
        crate::garbage::collect(cluster, &stored, false);
    }
    settle(cluster, resource, &(in_namespace, name));
    current(cluster, resource, &stored)
}

/// The object after the controllers had their say; its last state when they removed it.
fn current(cluster: &Cluster, resource: &Resource, stored: &Arc<Value>) -> Arc<Value> {
    let (in_namespace, name) = crate::store::key_of(stored);
    let now = cluster.store.get(resource, &in_namespace, &name);
    Arc::clone(now.unwrap_or(stored))
}

fn refuse(resource: &Resource, name: &str, causes: &[Cause]) -> Result<(), Failure> {
    if causes.is_empty() {
        return Ok(());
    }
    Err(Failure::invalid(
        resource.group,
        resource.kind,
        name,
        causes,
    ))
}

/// Takes from `sent` what this door may change and everything else from `live`.
fn separate(resource: &Resource, subresource: &str, live: &Value, sent: Value) -> Value {
    let mut object = match subresource {
        "" | "scale" => sent,
        part => {
            let path: &[&str] = if part == "finalize" {
                &["spec", "finalizers"]
            } else {
                &["status"]
            };
            let mut object = live.clone();
            tree::carry(&sent, &mut object, path);
            tree::carry(&sent, &mut object, &["metadata", "managedFields"]);
            return object;
        }
    };
    if resource.has_status() {
        tree::carry(live, &mut object, &["status"]);
    }
    if resource.kind == "Namespace" {
        tree::carry(live, &mut object, &["spec", "finalizers"]);
    }
    object
}
