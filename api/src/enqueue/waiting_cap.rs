//! The cap on a tenant's waiting jobs.
//!
//! Far from the cap an estimate is enough: what was counted a moment ago, what this process wrote since,
//! and what it is about to write. Near it the transaction that writes the jobs counts the rows itself,
//! under the tenant's lock, so that over any number of API processes not one job too many is taken in.
//!
//! An estimate counts as far while other processes, at a pace that no PostgreSQL keeps up, could not
//! have filled the rest since it was made. Where it errs, it errs towards counting the rows.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::OwnedMutexGuard, time::Instant};
use unity_shared::{
    db::{DbError, TenantTx},
    ids::TenantId,
    jobs::{count_later, count_waiting, kinds::queue_names, lock_waiting},
    tenancy::find_tenant,
};

use crate::{error::ApiError, state::ApiState};

/// How long a count is good, and so how long a limit that another process has set is not known here.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// A tenant that has reached its cap is counted again no sooner.
const FULL_FOR: Duration = Duration::from_millis(100);
/// With less room than this the rows are counted. Other processes do not have so many jobs under way.
const NEAR: u32 = 10_000;
/// More jobs than all other processes together write for one tenant in a millisecond.
const MOST_PER_MILLISECOND: u128 = 100;
/// The quota's name in problems.
const NAME: &str = "waiting_jobs";

/// What is known of each tenant.
#[derive(Debug, Default)]
pub struct WaitingCaps(Mutex<HashMap<TenantId, Arc<Tenant>>>);

#[derive(Debug, Default)]
struct Tenant {
    /// One count at a time.
    counting: tokio::sync::Mutex<()>,
    /// One transaction at a time that waits for the lock in the database; more would take the
    /// connections of others.
    writing: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    counted: Option<Counted>,
    /// Jobs that were written and offered since the count began.
    taken: u32,
    /// Jobs that are about to be.
    held: u32,
    full: Option<Full>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    limit: u32,
    waiting: u32,
    /// When the count began.
    at: Instant,
}

/// So many jobs did not fit.
#[derive(Debug, Clone, Copy)]
struct Full {
    jobs: u32,
    limit: u32,
    used: u32,
    at: Instant,
}

/// What an estimate says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Room {
    /// There is room, whatever others do.
    Far,
    /// The rows are to be counted against this limit.
    Near(u32),
    /// The estimate is too old.
    Unknown,
}

/// Places for jobs that are about to be written. They are given back when this is dropped, unless the
/// jobs were written.
#[derive(Debug)]
pub struct Places {
    tenant: Arc<Tenant>,
    jobs: u32,
    limit: Option<u32>,
}

impl WaitingCaps {
    /// Takes places for `jobs` more waiting jobs, or says that there are none.
    pub async fn take(
        &self,
        state: &ApiState,
        id: &TenantId,
        jobs: u32,
    ) -> Result<Places, ApiError> {
        let tenant = Arc::clone(self.lock().entry(id.clone()).or_default());
        tenant.known().refuse(jobs)?;
        if let Some(places) = tenant.hold(jobs, GOOD_FOR) {
            return Ok(places);
        }
        let turn = if let Ok(turn) = tenant.counting.try_lock() {
            turn
        } else {
            // Somebody counts; until then the old count may do.
            if let Some(places) = tenant.hold(jobs, 2 * GOOD_FOR) {
                return Ok(places);
            }
            tenant.counting.lock().await
        };
        if let Some(places) = tenant.hold(jobs, GOOD_FOR) {
            return Ok(places);
        }
        let limit = tenant.count(state, id).await?;
        drop(turn);
        Ok(tenant
            .hold(jobs, GOOD_FOR)
            .unwrap_or_else(|| tenant.places(jobs, Some(limit))))
    }

    /// Forgets what is known of a tenant, whose limit may have changed.
    pub fn forget(&self, id: &TenantId) {
        let tenant = self.lock().get(id).map(Arc::clone);
        if let Some(tenant) = tenant {
            let mut known = tenant.known();
            (known.counted, known.full) = (None, None);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Arc<Tenant>>> {
        // The map is whole between any two statements.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tenant {
    /// Places by a count that is at most so old; `None` if there is none that will do.
    fn hold(self: &Arc<Self>, jobs: u32, oldest: Duration) -> Option<Places> {
        let room = self.known().room(jobs, oldest, Instant::now());
        match room {
            Room::Far => Some(self.places(jobs, None)),
            Room::Near(limit) => Some(self.places(jobs, Some(limit))),
            Room::Unknown => None,
        }
    }

    fn places(self: &Arc<Self>, jobs: u32, limit: Option<u32>) -> Places {
        let mut known = self.known();
        known.held = known.held.saturating_add(jobs);
        Places {
            tenant: Arc::clone(self),
            jobs,
            limit,
        }
    }

    /// Counts and answers the limit. What is written meanwhile may be counted twice.
    async fn count(&self, state: &ApiState, id: &TenantId) -> Result<u32, ApiError> {
        let taken_before = self.known().taken;
        let counted = count(state, id).await?;
        let mut known = self.known();
        known.taken = known.taken.saturating_sub(taken_before);
        known.counted = Some(counted);
        Ok(counted.limit)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // It is whole between any two statements.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    /// Refuses what did not fit a moment ago.
    fn refuse(&self, jobs: u32) -> Result<(), ApiError> {
        match self.full {
            Some(full) if jobs >= full.jobs && full.at.elapsed() < FULL_FOR => {
                Err(exceeded(full.limit, full.used))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn room(&self, jobs: u32, oldest: Duration, now: Instant) -> Room {
        let Some(Counted { limit, waiting, at }) = self.counted else {
            return Room::Unknown;
        };
        let age = now.saturating_duration_since(at);
        if age >= oldest {
            return Room::Unknown;
        }
        let used = [self.taken, self.held, jobs]
            .into_iter()
            .fold(waiting, u32::saturating_add);
        let left = limit.saturating_sub(used);
        if left < NEAR {
            Room::Near(limit)
        } else if u128::from(left - NEAR) < age.as_millis() * MOST_PER_MILLISECOND {
            Room::Unknown
        } else {
            Room::Far
        }
    }
}

impl Places {
    /// The cap that the transaction which writes the jobs has to count against; absent = there is room.
    pub const fn limit(&self) -> Option<u32> {
        self.limit
    }

    /// The tenant's turn to write under its lock, where it needs one. Take it before a connection.
    pub async fn turn(&self) -> Option<OwnedMutexGuard<()>> {
        self.limit?;
        Some(Arc::clone(&self.tenant.writing).lock_owned().await)
    }

    /// Takes the tenant's lock in the database, where it needs one. Call it before the jobs are written.
    pub async fn lock(&self, tx: &mut TenantTx) -> Result<(), DbError> {
        match self.limit {
            Some(_) => lock_waiting(tx).await,
            None => Ok(()),
        }
    }

    /// Refuses the jobs if more wait now than may. Call it when they have been written.
    pub async fn check(&self, tx: &mut TenantTx) -> Result<(), ApiError> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let most = limit.saturating_add(self.jobs).saturating_add(1);
        let waiting = count_waiting(tx, most).await?;
        if waiting > limit {
            return Err(self.refuse(waiting.saturating_sub(self.jobs)));
        }
        Ok(())
    }

    /// The refusal, where `used` jobs wait already.
    pub fn refuse(&self, used: u32) -> ApiError {
        let limit = self.limit.unwrap_or(used);
        self.tenant.known().full = Some(Full {
            jobs: self.jobs,
            limit,
            used,
            at: Instant::now(),
        });
        exceeded(limit, used)
    }

    /// The jobs were written and offered.
    pub fn settle(self) {
        let mut known = self.tenant.known();
        known.taken = known.taken.saturating_add(self.jobs);
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        let mut known = self.tenant.known();
        known.held = known.held.saturating_sub(self.jobs);
    }
}

const fn exceeded(limit: u32, used: u32) -> ApiError {
    ApiError::QuotaExceeded {
        name: NAME,
        limit,
        used,
    }
}

/// Counts in the gate what is queued, and in the record what waits for its time; if the gate cannot
/// tell, all of it in the record.
async fn count(state: &ApiState, tenant: &TenantId) -> Result<Counted, ApiError> {
    let at = Instant::now();
    let queued = queued(state, tenant).await;
    let mut tx = state.database().tenant(tenant).await?;
    let limit = find_tenant(&mut tx)
        .await?
        .ok_or(ApiError::Unauthenticated)?
        .job_limits
        .max_waiting;
    let enough = limit.saturating_add(1);
    let waiting = match queued {
        Some(queued) => queued.saturating_add(count_later(&mut tx, enough).await?),
        None => count_waiting(&mut tx, enough).await?,
    };
    Ok(Counted { limit, waiting, at })
}

/// What the gate has; `None` if it does not answer, or was emptied and is not filled again: its epoch
/// is missing then, or another one afterwards.
async fn queued(state: &ApiState, tenant: &TenantId) -> Option<u32> {
    let gate = state.gate();
    let epoch = gate.epoch().await.ok()??;
    let mut queued = 0;
    for queue in queue_names() {
        let loads = gate.loads(queue, std::slice::from_ref(tenant)).await.ok()?;
        queued += loads.iter().map(|load| load.waiting).sum::<u64>();
    }
    let unchanged = gate.epoch().await.ok()? == Some(epoch);
    u32::try_from(queued).ok().filter(|_| unchanged)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(limit: u32, waiting: u32) -> (Known, Instant) {
        let at = Instant::now();
        let counted = Some(Counted { limit, waiting, at });
        let known = Known {
            counted,
            ..Known::default()
        };
        (known, at)
    }

    #[test]
    fn near_the_cap_the_rows_are_counted_and_far_from_it_they_are_not() {
        let (mut known, at) = known(100_000, 50_000);
        let room = |known: &Known, jobs| known.room(jobs, GOOD_FOR, at);
        assert_eq!(room(&known, 1), Room::Far);
        assert_eq!(room(&known, 40_000), Room::Far);
        assert_eq!(room(&known, 40_001), Room::Near(100_000));
        (known.taken, known.held) = (30_000, 10_000);
        assert_eq!(room(&known, 0), Room::Far);
        assert_eq!(room(&known, 1), Room::Near(100_000));
    }

    #[test]
    fn an_estimate_is_good_for_less_time_the_less_room_is_left() {
        let after = |known: &Known, at, ms| known.room(1, GOOD_FOR, at + Duration::from_millis(ms));
        let (roomy, at) = known(1_000_000, 0);
        assert_eq!(after(&roomy, at, 999), Room::Far);
        assert_eq!(after(&roomy, at, 1000), Room::Unknown);
        let (tight, at) = known(30_001, 0);
        assert_eq!(after(&tight, at, 200), Room::Far);
        assert_eq!(after(&tight, at, 201), Room::Unknown);
    }

    #[test]
    fn places_are_given_back_unless_the_jobs_were_written() {
        let tenant = Arc::new(Tenant::default());
        let held_and_taken = || {
            let known = tenant.known();
            (known.held, known.taken)
        };
        let places = tenant.places(3, None);
        assert_eq!(held_and_taken(), (3, 0));
        drop(places);
        assert_eq!(held_and_taken(), (0, 0));
        tenant.places(2, None).settle();
        assert_eq!(held_and_taken(), (0, 2));
    }

    #[test]
    fn what_did_not_fit_is_refused_for_a_moment_and_less_is_not() {
        let tenant = Arc::new(Tenant::default());
        drop(tenant.places(5, Some(10)).refuse(8));
        assert!(tenant.known().refuse(5).is_err());
        assert!(tenant.known().refuse(4).is_ok());
    }
}
