//! `PUT`: the whole object, or the part that a subresource opens.

use crate::answer::{Answer, Reply};
use crate::cluster::{Actor, Cluster};
use crate::handle::{Call, read};
use crate::options::{WriteOptions, check_place, decode_object};
use crate::status::Failure;
use crate::write::{self, Ownership};

/// Replaces the object with the one of the body.
pub fn update(
    cluster: &mut Cluster,
    call: &Call<'_>,
    options: &WriteOptions,
) -> Result<Reply, Failure> {
    let target = call.target;
    let decoded = decode_object(target.resource, call.request.object()?, options.validation)?;
    let mut object = decoded.object;
    check_place(target, &mut object)?;
    let live = read::find(cluster, target)?;
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
