//! The transaction that writes the orders of one group commit.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use unity_shared::{
    db::{Database, DbError, Engine, KeptSessions, PlatformTx},
    ids::TenantId,
    jobs::{Enqueued, NewJob, count_waiting_of, enqueue_for_tenants, lock_waiting_of},
    tenancy::{delete_answers, insert_answers},
};

use super::order::Order;

/// What became of orders that were written together.
pub(super) struct Written {
    /// Of those that were not skipped.
    pub enqueued: Enqueued,
    /// For each order why it was not to be written.
    pub skipped: Vec<Option<Skip>>,
}

/// Why an order is not to be written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Skip {
    /// There is no place for it: so many jobs wait.
    Full(u32),
    /// Its key is taken.
    Repeated,
}

/// Writes orders of any tenants in one statement, or in one transaction where more than that has to be looked at.
pub(super) async fn write_orders(
    database: &Database,
    sessions: &KeptSessions,
    orders: &[Order],
    now: DateTime<Utc>,
) -> Result<Written, DbError> {
    let needs_transaction = orders.iter().any(|order| {
        order.places.limit().is_some()
            || order.keep.is_some()
            || order.jobs.iter().any(|job| job.supersedes(now))
    });
    let mut skipped = vec![None; orders.len()];
    if !needs_transaction {
        let mut session = sessions.take().await?;
        let enqueued = enqueue_for_tenants(&mut session, &jobs_of(orders.iter()), now).await;
        session.give_back(&enqueued);
        return Ok(Written {
            enqueued: enqueued?,
            skipped,
        });
    }
    let mut tx = database.engine().begin().await?;
    find_full(&mut tx, orders, &mut skipped).await?;
    keep_answers(&mut tx, orders, &mut skipped, now).await?;
    let jobs = jobs_of(to_write(orders, &skipped));
    let enqueued = enqueue_for_tenants(&mut tx, &jobs, now).await?;
    let left_out: Vec<(&TenantId, &str)> = to_write(orders, &skipped)
        .filter(|order| !order.is_written(&enqueued.written))
        .filter_map(Order::key)
        .collect();
    if !left_out.is_empty() {
        delete_answers(&mut tx, &left_out).await?;
    }
    tx.commit().await?;
    Ok(Written { enqueued, skipped })
}

/// Those that are not skipped.
fn to_write<'a>(
    orders: &'a [Order],
    skipped: &'a [Option<Skip>],
) -> impl Iterator<Item = &'a Order> {
    let both = orders.iter().zip(skipped);
    both.filter_map(|(order, skip)| skip.is_none().then_some(order))
}

/// Their jobs, each with its tenant.
pub(super) fn jobs_of<'a>(
    orders: impl Iterator<Item = &'a Order>,
) -> Vec<(&'a TenantId, &'a NewJob)> {
    orders
        .flat_map(|order| order.jobs.iter().map(|job| (&order.tenant, job)))
        .collect()
}

/// Skips those of the orders for which there is no place, first come first served. Until the end of the
/// transaction nobody else who is near these caps writes.
async fn find_full(
    tx: &mut PlatformTx<Engine>,
    orders: &[Order],
    skipped: &mut [Option<Skip>],
) -> Result<(), DbError> {
    let limits: HashMap<&TenantId, u32> = orders
        .iter()
        .filter_map(|order| Some((&order.tenant, order.places.limit()?)))
        .collect();
    if limits.is_empty() {
        return Ok(());
    }
    let tenants: Vec<&TenantId> = limits.keys().copied().collect();
    lock_waiting_of(tx, &tenants).await?;
    let wanted: Vec<(&TenantId, u32)> = limits
        .iter()
        .map(|(tenant, limit)| (*tenant, *limit))
        .collect();
    let mut waiting = count_waiting_of(tx, &wanted).await?;
    for (order, skip) in orders.iter().zip(skipped) {
        let limit = limits.get(&order.tenant);
        let used = waiting.entry(order.tenant.clone()).or_default();
        match limit {
            Some(limit) if *used >= *limit => *skip = Some(Skip::Full(*used)),
            Some(_) | None => *used = used.saturating_add(1),
        }
    }
    Ok(())
}

/// Keeps the answers of the orders that have a key, and skips those whose key is taken.
async fn keep_answers(
    tx: &mut PlatformTx<Engine>,
    orders: &[Order],
    skipped: &mut [Option<Skip>],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let mut seen = HashSet::new();
    let mut answers = Vec::new();
    for (order, skip) in orders.iter().zip(&mut *skipped) {
        let (None, Some(keep), Some((tenant, key))) = (&skip, &order.keep, order.key()) else {
            continue;
        };
        if seen.insert((tenant, key)) {
            answers.push((tenant, key, (keep.answer)(now)));
        } else {
            *skip = Some(Skip::Repeated);
        }
    }
    if answers.is_empty() {
        return Ok(());
    }
    let kept = insert_answers(tx, &answers, now).await?;
    for (order, skip) in orders.iter().zip(skipped) {
        if let (None, Some((tenant, key))) = (&skip, order.key())
            && !kept.contains(&(tenant.clone(), key.to_owned()))
        {
            *skip = Some(Skip::Repeated);
        }
    }
    Ok(())
}
