//! Compares the gate with the rows, and changes neither.
//!
//! While jobs move, the two differ for moments: a row is committed before its job is offered. So every
//! suspect is looked at again a little later, and only what is as it was is called drift. The
//! scheduler's loops mend all of it; this is for whoever wants to see.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{Gate, GateError};
use crate::{
    clock::Clock,
    db::{Database, DbError},
    ids::{JobId, TenantId},
    jobs::{select_idle, select_queued_page, select_running_page, select_switches, tally_running},
    tenancy::{LimitsAt, select_job_limits_page},
};

/// What was found twice.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Drift {
    /// Queued rows that the gate does not know or has no place for: nobody will run them until they are
    /// offered.
    pub unknown: BTreeSet<JobId>,
    /// Jobs that the gate knows and whose rows neither wait nor run.
    pub stale: BTreeSet<JobId>,
    /// Jobs that run under a live lease and that the gate does not count in full: no limit holds them.
    pub uncounted: BTreeSet<JobId>,
    /// Tenants whose limits the gate has otherwise.
    pub limits: BTreeSet<TenantId>,
    /// Pauses that the gate has otherwise, as `tenant/kind`; an empty name = every one.
    pub pauses: BTreeSet<String>,
    /// Tenants that run more jobs than they may, in all or of a kind: a limit was lowered, or the tenant
    /// suspended, and it drains. Rows and gate may well agree on that.
    pub over_limit: BTreeSet<TenantId>,
}

/// The comparison broke off.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The rows could not be read.
    #[error("could not read the rows to compare the gate with")]
    Rows(#[from] DbError),
    /// Redis did not answer.
    #[error("could not read the gate")]
    Gate(#[from] GateError),
}

impl Drift {
    /// Whether rows and gate agree.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let Self {
            unknown,
            stale,
            uncounted,
            limits,
            pauses,
            over_limit: _,
        } = self;
        unknown.is_empty()
            && stale.is_empty()
            && uncounted.is_empty()
            && limits.is_empty()
            && pauses.is_empty()
    }

    /// What is in both.
    fn and(&self, later: &Self) -> Self {
        Self {
            unknown: &self.unknown & &later.unknown,
            stale: &self.stale & &later.stale,
            uncounted: &self.uncounted & &later.uncounted,
            limits: &self.limits & &later.limits,
            pauses: &self.pauses & &later.pauses,
            over_limit: &self.over_limit & &later.over_limit,
        }
    }
}

/// Time between two looks: longer than what is under way takes.
const PAUSE: Duration = Duration::from_secs(1);
const PAGE: i64 = 1000;

/// Compares everything, twice if need be.
pub async fn verify(database: &Database, gate: &Gate, clock: &Clock) -> Result<Drift, VerifyError> {
    let comparison = Comparison {
        database,
        gate,
        clock,
    };
    let first = comparison.look().await?;
    if first.is_empty() {
        return Ok(first);
    }
    tokio::time::sleep(PAUSE).await;
    Ok(first.and(&comparison.look().await?))
}

struct Comparison<'a> {
    database: &'a Database,
    gate: &'a Gate,
    clock: &'a Clock,
}

impl Comparison<'_> {
    async fn look(&self) -> Result<Drift, VerifyError> {
        Ok(Drift {
            unknown: self.unknown().await?,
            stale: self.stale().await?,
            uncounted: self.uncounted().await?,
            limits: self.limits().await?,
            pauses: self.pauses().await?,
            over_limit: self.over_limit().await?,
        })
    }

    async fn unknown(&self) -> Result<BTreeSet<JobId>, VerifyError> {
        let (mut after, mut found) = (None, BTreeSet::new());
        loop {
            let mut tx = self.database.engine().statement().await?;
            let page = select_queued_page(&mut tx, self.gate.shard(), after.as_ref(), PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = Some((last.tenant_id.clone(), last.id));
            found.extend(self.gate.forgotten(&page).await?);
        }
    }

    async fn stale(&self) -> Result<BTreeSet<JobId>, VerifyError> {
        let (mut cursor, mut found) = (0, BTreeSet::new());
        loop {
            let (next, known) = self.gate.known(cursor).await?;
            if !known.is_empty() {
                let mut tx = self.database.engine().statement().await?;
                let idle = select_idle(&mut tx, &known).await?;
                found.extend(idle.into_iter().map(|job| job.id));
            }
            if next == 0 {
                return Ok(found);
            }
            cursor = next;
        }
    }

    async fn uncounted(&self) -> Result<BTreeSet<JobId>, VerifyError> {
        let (mut after, mut found) = (None, BTreeSet::new());
        loop {
            let mut tx = self.database.engine().statement().await?;
            let page = select_running_page(&mut tx, self.gate.shard(), after, PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = Some(last.offer.id);
            let now = self.clock.now();
            let live: Vec<_> = page
                .into_iter()
                .filter(|job| job.lease_expires_at > now)
                .collect();
            found.extend(self.gate.uncounted(&live).await?);
        }
    }

    async fn limits(&self) -> Result<BTreeSet<TenantId>, VerifyError> {
        let (mut after, mut found) = (None, BTreeSet::new());
        loop {
            let mut tx = self.database.engine().statement().await?;
            let page =
                select_job_limits_page(&mut tx, self.gate.shard(), after.as_ref(), PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = Some(last.tenant_id.clone());
            found.extend(self.gate.differing_limits(&page).await?);
        }
    }

    async fn pauses(&self) -> Result<BTreeSet<String>, VerifyError> {
        let mut tx = self.database.engine().statement().await?;
        let switches = select_switches(&mut tx, self.clock.now()).await?;
        drop(tx);
        let differing = self.gate.differing_pauses(&switches).await?;
        Ok(differing.into_iter().collect())
    }

    async fn over_limit(&self) -> Result<BTreeSet<TenantId>, VerifyError> {
        let mut tx = self.database.engine().statement().await?;
        let tally = tally_running(&mut tx, self.gate.shard(), self.clock.now()).await?;
        drop(tx);
        let mut running: BTreeMap<TenantId, BTreeMap<String, i64>> = BTreeMap::new();
        for line in tally {
            *running
                .entry(line.tenant)
                .or_default()
                .entry(line.kind)
                .or_default() += line.running;
        }
        let (mut after, mut found) = (None, BTreeSet::new());
        loop {
            let mut tx = self.database.engine().statement().await?;
            let page =
                select_job_limits_page(&mut tx, self.gate.shard(), after.as_ref(), PAGE).await?;
            drop(tx);
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = Some(last.tenant_id.clone());
            for LimitsAt {
                tenant_id, limits, ..
            } in page
            {
                let Some(kinds) = running.get(&tenant_id) else {
                    continue;
                };
                let all: i64 = kinds.values().sum();
                let over_kind = limits
                    .per_kind
                    .iter()
                    .any(|(kind, most)| kinds.get(kind).is_some_and(|has| *has > i64::from(*most)));
                if all > i64::from(limits.max_concurrent) || over_kind {
                    found.insert(tenant_id);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_found_twice_is_drift() {
        let (passing, lasting) = (JobId::new(), JobId::new());
        let first = Drift {
            unknown: [passing, lasting].into(),
            ..Drift::default()
        };
        let second = Drift {
            unknown: [lasting].into(),
            stale: [passing].into(),
            ..Drift::default()
        };
        let both = first.and(&second);
        assert_eq!(both.unknown, [lasting].into());
        assert!(both.stale.is_empty() && !both.is_empty());
        assert!(first.and(&Drift::default()).is_empty());
    }
}
