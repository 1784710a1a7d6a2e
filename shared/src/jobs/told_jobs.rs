//! What the audit log is told of jobs that are written together: one entry for each author, so that
//! ten thousand requests a second do not become ten thousand entries.

use std::{collections::HashMap, net::IpAddr, sync::Arc};

use chrono::{DateTime, Utc};
use serde_json::json;

use crate::{
    audit::{Action, AuditActor, AuditedObject, Author, Deed, Telling, tell_all},
    db::{DbError, Engine, PlatformTx},
    ids::{ActAsId, JobId, TenantId},
};

/// A job that somebody ordered and that was written.
#[derive(Debug, Clone)]
pub struct OrderedJob {
    /// Whose job it is.
    pub tenant: TenantId,
    /// The job.
    pub id: JobId,
    /// Its kind.
    pub kind: &'static str,
    /// Who ordered it.
    pub author: Arc<Author>,
}

/// Most jobs that one entry names.
const MOST_NAMED: usize = 1000;

/// What makes two orders one entry.
#[derive(PartialEq, Eq, Hash)]
struct Voice<'a> {
    tenant: &'a TenantId,
    actor: &'a AuditActor,
    act_as: Option<ActAsId>,
    source_address: Option<IpAddr>,
    user_agent: Option<&'a str>,
}

/// What is told of these orders, in the order of each author's first.
fn tellings(orders: &[OrderedJob]) -> Vec<Telling> {
    let mut places: HashMap<Voice<'_>, usize> = HashMap::with_capacity(orders.len());
    let mut groups: Vec<Vec<&OrderedJob>> = Vec::new();
    for order in orders {
        let author = &order.author;
        let voice = Voice {
            tenant: &order.tenant,
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
    let named = groups.iter().flat_map(|group| group.chunks(MOST_NAMED));
    named.filter_map(telling_of).collect()
}

fn telling_of(group: &[&OrderedJob]) -> Option<Telling> {
    let first = group.first()?;
    let jobs = group.iter().map(|order| (order.id, order.kind));
    let deed = jobs_created(jobs);
    let tenant = &first.tenant;
    let mut author = Author::clone(&first.author);
    let is_one_request = |order: &&OrderedJob| order.author.request_id == author.request_id;
    if !group.iter().all(is_one_request) {
        author.request_id = None;
    }
    let mut chains = vec![Some(tenant.clone())];
    if author.for_platform && !tenant.is_platform() {
        chains.push(None);
    }
    Some(Telling {
        chains,
        author,
        deed,
    })
}

/// What is told of jobs that were ordered together: the one, or the ids of all of them.
fn jobs_created<'a>(jobs: impl Iterator<Item = (JobId, &'a str)> + Clone) -> Deed {
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

/// Tells of jobs that were written: an entry for each author, in whose transaction is up to the caller.
pub async fn tell_of_orders(
    tx: &mut PlatformTx<Engine>,
    orders: &[OrderedJob],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tell_all(tx, &tellings(orders), now).await
}
