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

/// Jobs that somebody ordered and that were written.
#[derive(Debug, Clone)]
pub struct OrderedJobs {
    /// Whose jobs they are.
    pub tenant: TenantId,
    /// Each with its kind.
    pub jobs: Vec<(JobId, &'static str)>,
    /// Who ordered them.
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
fn tellings(orders: &[OrderedJobs]) -> Vec<Telling> {
    let mut places: HashMap<Voice<'_>, usize> = HashMap::with_capacity(orders.len());
    let mut groups: Vec<Vec<&OrderedJobs>> = Vec::new();
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
    let told = groups.iter().flat_map(|group| {
        let jobs: Vec<Named<'_>> = group
            .iter()
            .flat_map(|order| order.jobs.iter().map(|job| (*order, *job)))
            .collect();
        let parts = jobs.chunks(MOST_NAMED).filter_map(telling_of);
        parts.collect::<Vec<Telling>>()
    });
    told.collect()
}

/// A job and the order that it came with.
type Named<'a> = (&'a OrderedJobs, (JobId, &'static str));

fn telling_of(named: &[Named<'_>]) -> Option<Telling> {
    let (first, _) = named.first()?;
    let deed = jobs_created(named.iter().map(|(_, job)| *job));
    let tenant = &first.tenant;
    let mut author = Author::clone(&first.author);
    let is_one_request = |(order, _): &Named<'_>| order.author.request_id == author.request_id;
    if !named.iter().all(is_one_request) {
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
    orders: &[OrderedJobs],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    tell_all(tx, &tellings(orders), now).await
}
