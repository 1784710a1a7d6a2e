//! `POST` to a collection.

use crate::answer::{Answer, Reply};
use crate::cluster::{Actor, Cluster};
use crate::handle::Call;
use crate::options::{WriteOptions, check_place, decode_object};
use crate::status::Failure;
use crate::tree;
use crate::write::{self, Ownership};

/// Creates the object of the body.
pub fn create(
    cluster: &mut Cluster,
    call: &Call<'_>,
    options: &WriteOptions,
) -> Result<Reply, Failure> {
    let target = call.target;
    if target.resource.namespaced && target.namespace.is_empty() {
        return Err(Failure::method_not_allowed());
    }
    let decoded = decode_object(target.resource, call.request.object()?, options.validation)?;
    let mut object = decoded.object;
    check_place(target, &mut object)?;
    if !tree::text(&object, &["metadata", "resourceVersion"]).is_empty() {
        let message = "resourceVersion should not be set on objects to be created";
        return Err(Failure {
            reason: "",
            ..Failure::internal(message)
        });
    }
    let actor = Actor {
        identity: call.identity,
        writer: options.writer(call.request, target, &cluster.environment),
    };
    let stored = write::create(
        cluster,
        target.resource,
        &target.namespace,
        object,
        &actor,
        Ownership::Record,
    )?;
    let answer = Answer::Object {
        code: 201,
        resource: Some(target.resource),
        object: stored,
    };
    Ok(Reply {
        answer,
        warnings: decoded.warnings,
    })
}
