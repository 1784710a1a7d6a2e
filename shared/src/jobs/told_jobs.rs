//! What the audit log is told of jobs that are written together: one entry for each author, so that
//! ten thousand requests a second do not become ten thousand entries.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

use super::JobOrdered;
use crate::{
    audit::{Action, AuditActor, AuditedObject, Deed, entry_in},
    db::{DbError, Engine, PlatformTx},
    ids::{ActAsId, JobId, TenantId},
};

/// What makes two orders one entry.
#[derive(PartialEq, Eq, Hash)]
struct Voice<'a> {
    tenant: &'a TenantId,
    actor: &'a AuditActor,
    act_as: Option<ActAsId>,
    source_address: Option<IpAddr>,
    user_agent: Option<&'a str>,
}

/// The entries for these orders, in the order of each author's first.
pub(super) fn entries(orders: &[JobOrdered<'_>]) -> Value {
    let mut places: HashMap<Voice<'_>, usize> = HashMap::with_capacity(orders.len());
    let mut groups: Vec<Vec<&JobOrdered<'_>>> = Vec::new();
    for order in orders {
        let author = order.author;
        let voice = Voice {
            tenant: order.tenant,
            actor: &author.actor,
            act_as: author.act_as.as_ref().map(|(grant, _)| *grant),
            source_address: author.source_address,
            user_agent: author.user_agent.as_deref(),
        };
        let place = *places.entry(voice).or_insert(groups.len());
        match groups.get_mut(place) {
            Some(group) => group.push(order),
            None => groups.push(vec![order]),
        }
    }
    Value::Array(groups.iter().flat_map(|group| entries_of(group)).collect())
}

fn entries_of(group: &[&JobOrdered<'_>]) -> Vec<Value> {
    let Some(first) = group.first() else {
        return Vec::new();
    };
    let jobs = group
        .iter()
        .map(|order| (order.job.id, order.job.kind_name()));
    let deed = jobs_created(jobs);
    let tenant = first.tenant;
    let mut author = first.author.clone();
    if group.len() > 1 {
        author.request_id = None;
    }
    let mut entries = vec![entry_in(Some(tenant), &author, &deed, None)];
    if author.for_platform && !tenant.is_platform() {
        entries.push(entry_in(None, &author, &deed, Some(tenant)));
    }
    entries
}

/// What is told of jobs that were enqueued together: the one, or the ids of all of them, of which a
/// request and a flush have at most a thousand.
pub fn jobs_created<'a>(jobs: impl Iterator<Item = (JobId, &'a str)> + Clone) -> Deed {
    let mut rest = jobs.clone();
    if let (Some((id, kind)), None) = (rest.next(), rest.next()) {
        return Deed::done(
            Action::JOB_CREATE,
            AuditedObject::one("job", id),
            json!({ "kind": kind }),
        );
    }
    let ids: Vec<JobId> = jobs.map(|(id, _)| id).collect();
    Deed::done(
        Action::JOB_CREATE,
        AuditedObject::several("job"),
        json!({ "count": ids.len(), "ids": ids }),
    )
}

/// Tells of those that were written.
pub(super) async fn tell(
    tx: &mut PlatformTx<Engine>,
    entries: &Value,
    written: &HashSet<JobId>,
    wanted: usize,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let written: Vec<Uuid> = written.iter().map(JobId::as_uuid).collect();
    sqlx::query_scalar!(
        r#"SELECT tell_of_enqueued($1, $2, $3, $4) AS "told!""#,
        entries,
        &written,
        i32::try_from(wanted).unwrap_or(i32::MAX),
        now,
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}
