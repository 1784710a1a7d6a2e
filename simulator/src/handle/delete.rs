//! `DELETE` of one object or of what a selector finds.

use std::sync::Arc;

use serde_json::Value;

use crate::answer::{Answer, Page, Reply};
use crate::cluster::Cluster;
use crate::delete::{self, DeleteOptions, Outcome};
use crate::handle::{Call, read};
use crate::options::WriteOptions;
use crate::request::Request;
use crate::status::{self, Cause, Failure};
use crate::store::key_of;
use crate::tree;

/// Deletes one object.
pub fn delete(
    cluster: &mut Cluster,
    call: &Call<'_>,
    options: &WriteOptions,
) -> Result<Reply, Failure> {
    let target = call.target;
    let (wanted, is_dry) = read_options(call.request)?;
    let mut scratch;
    let cluster = if is_dry && !options.dry_run {
        scratch = cluster.scratch();
        &mut scratch
    } else {
        cluster
    };
    let outcome = delete::delete(
        cluster,
        target.resource,
        &target.namespace,
        &target.name,
        &wanted,
    )?;
    Ok(match outcome {
        Outcome::Marked(object) => Answer::ok(target.resource, object),
        Outcome::Gone(object) if target.resource.kind == "Pod" => {
            Answer::ok(target.resource, object)
        }
        Outcome::Gone(object) => {
            let uid = tree::text(&object, &["metadata", "uid"]);
            Answer::other(200, status::deleted(target.resource, &target.name, uid))
        }
    }
    .into())
}

/// Deletes everything that the selectors of the request find.
pub fn delete_collection(
    cluster: &mut Cluster,
    call: &Call<'_>,
    _: &WriteOptions,
) -> Result<Reply, Failure> {
    let target = call.target;
    let (wanted, is_dry) = read_options(call.request)?;
    if target.resource.namespaced && target.namespace.is_empty() {
        return Err(Failure::method_not_allowed());
    }
    let mut scratch;
    let cluster = if is_dry {
        scratch = cluster.scratch();
        &mut scratch
    } else {
        cluster
    };
    let selector = read::selector(call)?;
    let found: Vec<Arc<Value>> = cluster
        .store
        .list(target.resource, read::place(target))
        .filter(|object| selector.matches(object))
        .cloned()
        .collect();
    let mut items = Vec::new();
    for object in found {
        let (namespace, name) = key_of(&object);
        match delete::delete(cluster, target.resource, &namespace, &name, &wanted) {
            Ok(Outcome::Gone(object) | Outcome::Marked(object)) => items.push(object),
            // Another deletion of this very loop may have taken it along.
            Err(failure) if failure.code == 404 => {}
            Err(failure) => return Err(failure),
        }
    }
    let revision = cluster.store.revision();
    let page = Page {
        resource: target.resource,
        items,
        revision,
        next: String::new(),
        remaining: None,
    };
    Ok(Answer::List(page).into())
}

/// The options of a deletion, from body and query.
pub fn read_options(request: &Request) -> Result<(DeleteOptions, bool), Failure> {
    let body = if request.body.is_empty() {
        Value::Null
    } else {
        request.object()?
    };
    let policy = match (
        tree::text(&body, &["propagationPolicy"]),
        request.query.get("propagationPolicy"),
    ) {
        ("", in_query) => in_query,
        (in_body, _) => in_body,
    };
    if !["", "Background", "Foreground", "Orphan"].contains(&policy) {
        let allowed = ["Background", "Foreground", "Orphan"];
        let cause = Cause::not_supported("propagationPolicy", &policy.into(), &allowed);
        return Err(Failure::invalid(
            "meta.k8s.io",
            "DeleteOptions",
            "",
            &[cause],
        ));
    }
    let given = |name: &str| {
        let text = tree::text(&body, &["preconditions", name]);
        (!text.is_empty()).then(|| text.to_owned())
    };
    let orphan_flag = tree::at(&body, &["orphanDependents"]).and_then(Value::as_bool);
    let options = DeleteOptions {
        uid: given("uid"),
        resource_version: given("resourceVersion"),
        orphan: policy == "Orphan" || orphan_flag == Some(true),
    };
    let is_dry = tree::texts(&body, &["dryRun"]).contains(&"All");
    Ok((options, is_dry))
}
