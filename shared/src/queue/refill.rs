//! Fills an emptied gate from the rows.
//!
//! Order matters. Admission is closed first. Then the epoch in the database rises, which waits for
//! claims under way and refuses later ones that name the old epoch: from here on the set of running
//! rows can only shrink. What Redis held of jobs is removed, because it may be old or a part. The slots
//! of running rows are written, then the limits and the waiting jobs, and only then admission opens
//! under the new epoch. So a refill can never let a tenant over its limit.
//!
//! Two refills may be under way at once. Each names its epoch with every step, and the older one is
//! refused from the moment at which the newer one has begun; so it cannot empty what the newer one
//! wrote, nor open what is half filled.

use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Gate, GateError};
use crate::{
    db::{Database, DbError},
    jobs::{raise_gate_epoch, select_queued_page, select_running_page, select_switches},
    tenancy::{select_changed_job_limits, select_job_limits_page},
};

/// Why the gate is still closed. The next attempt starts over.
#[derive(Debug, thiserror::Error)]
pub enum RefillError {
    /// The rows could not be read.
    #[error("could not read the rows to refill the gate from")]
    Rows(#[from] DbError),
    /// Redis did not take them.
    #[error("could not write the rows into the gate")]
    Gate(#[from] GateError),
    /// Another refill began meanwhile, or Redis was emptied once more. The gate is closed or the other
    /// one opens it.
    #[error("another refill has begun, or Redis was emptied meanwhile")]
    Overtaken,
}

/// What a refill did.
#[derive(Debug, Clone, Copy)]
pub struct RefillReport {
    /// The new epoch.
    pub epoch: i64,
    /// Running jobs whose slots were written.
    pub running: usize,
    /// Waiting jobs that were offered.
    pub waiting: usize,
    /// Time from closing to opening.
    pub took: Duration,
}

const PAGE: i64 = 1000;

/// Refills the gate and opens admission. Running it when nothing is missing does no harm but raises
/// the epoch.
pub async fn refill(
    database: &Database,
    gate: &Gate,
    now: DateTime<Utc>,
) -> Result<RefillReport, RefillError> {
    let started = std::time::Instant::now();
    let server = gate.server().await;
    gate.close().await?;
    let epoch = raise_epoch(database, gate).await?;
    goes_on(gate.begin_refill(epoch).await?)?;
    goes_on(gate.empty(epoch).await?)?;
    let running = restore_running(database, gate, epoch).await?;
    announce_limits(database, gate).await?;
    announce_switches(database, gate, now).await?;
    let waiting = restore_waiting(database, gate).await?;
    goes_on(gate.open(epoch, &server).await?)?;
    Ok(RefillReport {
        epoch,
        running,
        waiting,
        took: started.elapsed(),
    })
}

const fn goes_on(may: bool) -> Result<(), RefillError> {
    if may {
        Ok(())
    } else {
        Err(RefillError::Overtaken)
    }
}

/// Above what Redis has seen, too: a database that was restored from a backup is behind it.
async fn raise_epoch(database: &Database, gate: &Gate) -> Result<i64, RefillError> {
    let seen = gate.opening().await?.raised;
    let mut tx = database.engine().statement().await?;
    Ok(raise_gate_epoch(&mut tx, gate.shard(), seen).await?)
}

async fn restore_running(
    database: &Database,
    gate: &Gate,
    epoch: i64,
) -> Result<usize, RefillError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let mut tx = database.engine().statement().await?;
        let page = select_running_page(&mut tx, gate.shard(), after, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some(last.offer.id);
        count += page.len();
        goes_on(gate.write_running(epoch, &page).await?)?;
    }
}

/// Brings the limits of every tenant to the gate. What it knows already is left as it is.
pub async fn announce_limits(database: &Database, gate: &Gate) -> Result<(), RefillError> {
    let mut after = None;
    loop {
        let mut tx = database.engine().statement().await?;
        let page = select_job_limits_page(&mut tx, gate.shard(), after.as_ref(), PAGE).await?;
        drop(tx);
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.tenant_id.clone());
        gate.set_limits(&page).await?;
        if i64::try_from(page.len()).unwrap_or(i64::MAX) < PAGE {
            return Ok(());
        }
    }
}

/// The same of tenants that have changed since an instant.
pub async fn announce_changed_limits(
    database: &Database,
    gate: &Gate,
    since: DateTime<Utc>,
) -> Result<(), RefillError> {
    let mut tx = database.engine().statement().await?;
    let changed = select_changed_job_limits(&mut tx, gate.shard(), since, PAGE).await?;
    drop(tx);
    Ok(gate.set_limits(&changed).await?)
}

/// Brings the switches that are on to the gate; those that it has besides go off.
pub async fn announce_switches(
    database: &Database,
    gate: &Gate,
    now: DateTime<Utc>,
) -> Result<(), RefillError> {
    let mut tx = database.engine().statement().await?;
    let switches = select_switches(&mut tx, now).await?;
    drop(tx);
    Ok(gate.set_switches(&switches).await?)
}

async fn restore_waiting(database: &Database, gate: &Gate) -> Result<usize, RefillError> {
    let (mut after, mut count) = (None, 0);
    loop {
        let mut tx = database.engine().statement().await?;
        let page = select_queued_page(&mut tx, gate.shard(), after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(count);
        };
        after = Some((last.tenant_id.clone(), last.id));
        count += page.len();
        gate.offer(&page).await?;
    }
}
