//! Counts the calls of callers.
//!
//! At most one round trip to Redis for a call, and none for most calls of whoever calls often. Redis
//! that does not answer is left alone for a second; meanwhile this process gives out its share.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use unity_shared::{
    audit::PLATFORM_CHAIN,
    db::Database,
    ids::TenantId,
    queue::{CallCounts, CallsGranted, CallsWanted, Credential, GateError},
    telemetry::chain,
};

use super::{
    headers::Standing,
    meter::{Attempt, KeyMeter, TenantMeter, Wanted},
    rules::{CallRules, GOOD_FOR, KnownRules, OF_THE_PLATFORM},
};
use crate::{
    auth::{Actor, Caller},
    error::ApiError,
};

/// What becomes of a call.
#[derive(Debug)]
pub enum Verdict {
    /// It is counted.
    Pass([Standing; 2]),
    /// It is one too many.
    Refuse {
        /// For which limit.
        limit: &'static str,
        /// When the next may come.
        retry_after: Duration,
        /// How the caller stands.
        standings: [Standing; 2],
    },
}

/// Counts calls. Clones share it.
#[derive(Clone)]
pub struct CallLimiter {
    inner: Arc<Inner>,
    _sweeper: Arc<AbortOnDropHandle<()>>,
}

struct Inner {
    counts: CallCounts,
    database: Database,
    meters: Mutex<Meters>,
    /// Redis is left alone until then.
    away_until: Mutex<Option<Instant>>,
    /// API processes, when Redis last said how many.
    processes: AtomicU32,
}

#[derive(Default)]
struct Meters {
    keys: HashMap<Credential, Arc<KeyMeter>>,
    tenants: HashMap<String, Arc<TenantMeter>>,
}

/// How long Redis is left alone when it did not answer.
const AWAY_FOR: Duration = Duration::from_secs(1);
/// How often what nobody uses is given back and forgotten.
const SWEEP: Duration = Duration::from_secs(1);
/// A key that did not call for so long is forgotten.
const KEY_KEPT: Duration = Duration::from_mins(1);
/// A tenant is remembered for longer: its count is what an emptied Redis is given back.
const TENANT_KEPT: Duration = Duration::from_hours(1);

impl CallLimiter {
    /// Call it inside a tokio runtime.
    pub fn start(counts: CallCounts, database: Database) -> Self {
        let inner = Arc::new(Inner {
            counts,
            database,
            meters: Mutex::default(),
            away_until: Mutex::new(None),
            processes: AtomicU32::new(1),
        });
        let sweeper = tokio::spawn(sweep(Arc::downgrade(&inner)));
        Self {
            inner,
            _sweeper: Arc::new(AbortOnDropHandle::new(sweeper)),
        }
    }

    /// Counts a call of this caller, or refuses it.
    pub async fn count(&self, caller: &Caller) -> Result<Verdict, ApiError> {
        let inner = &self.inner;
        let meter = inner.meter(caller);
        let rules = inner.rules(&meter.tenant, caller.tenant.as_ref()).await?;
        let rules = rules.with_own_rate(caller.rate_limit_per_second);
        let wall = inner.counts.now();
        let attempt = match meter.spend(rules, Instant::now(), wall) {
            Attempt::Ask(wanted) => inner.ask(&meter, rules, wanted, credential(caller)).await,
            settled @ (Attempt::Counted | Attempt::Refused(..)) => settled,
        };
        let standings = meter.standings(rules, wall);
        Ok(match attempt {
            Attempt::Refused(limit, retry_after) => {
                metrics::counter!("unity_rate_limited_total", "limit" => limit).increment(1);
                Verdict::Refuse {
                    limit,
                    retry_after,
                    standings,
                }
            }
            Attempt::Counted | Attempt::Ask(_) => Verdict::Pass(standings),
        })
    }
}

/// What has a second of its own: a key or a session.
fn credential(caller: &Caller) -> Credential {
    match &caller.actor {
        Actor::ApiKey { id } => Credential::Key(*id),
        Actor::User { session, .. } => Credential::Session(*session),
    }
}

impl Inner {
    fn meter(&self, caller: &Caller) -> Arc<KeyMeter> {
        let id = credential(caller);
        let name = caller
            .tenant
            .as_ref()
            .map_or(PLATFORM_CHAIN, TenantId::as_str);
        let mut meters = self.lock();
        if let Some(meter) = meters
            .keys
            .get(&id)
            .filter(|meter| meter.tenant.name == name)
        {
            return Arc::clone(meter);
        }
        let now = Instant::now();
        let tenant = meters
            .tenants
            .entry(name.to_owned())
            .or_insert_with(|| Arc::new(TenantMeter::new(name.to_owned(), now)));
        let meter = Arc::new(KeyMeter::new(Arc::clone(tenant), now));
        meters.keys.insert(id, Arc::clone(&meter));
        meter
    }

    /// The rules in force. The first who finds them old reads them anew; those beside it go on with the
    /// old ones.
    async fn rules(
        &self,
        meter: &TenantMeter,
        tenant: Option<&TenantId>,
    ) -> Result<CallRules, ApiError> {
        let Some(tenant) = tenant else {
            return Ok(OF_THE_PLATFORM);
        };
        let now = Instant::now();
        let old = {
            let mut known = meter.rules.lock().unwrap_or_else(PoisonError::into_inner);
            match known.as_mut() {
                Some(known) if now - known.read_at < GOOD_FOR => return Ok(known.rules),
                Some(known) => {
                    known.read_at = now;
                    Some(known.rules)
                }
                None => None,
            }
        };
        let rules = match (CallRules::read(&self.database, tenant).await, old) {
            (Ok(Some(rules)), _) => rules,
            (Ok(None), _) => return Err(ApiError::Unauthenticated),
            // Whatever the request needs of the database will say so itself.
            (Err(_), Some(old)) => old,
            (Err(error), None) => return Err(error.into()),
        };
        let mut known = meter.rules.lock().unwrap_or_else(PoisonError::into_inner);
        *known = Some(KnownRules {
            rules,
            read_at: now,
        });
        Ok(rules)
    }

    /// Asks Redis for more, or does without.
    async fn ask(
        &self,
        meter: &KeyMeter,
        rules: CallRules,
        first: Wanted,
        credential: Credential,
    ) -> Attempt {
        meter.tenant.keep_back(first.hour_back);
        let _waiting = Waiting::of(meter);
        let _turn = meter.asking.lock().await;
        self.ask_in_turn(meter, rules, credential).await
    }

    async fn ask_in_turn(
        &self,
        meter: &KeyMeter,
        rules: CallRules,
        credential: Credential,
    ) -> Attempt {
        loop {
            let (now, wall) = (Instant::now(), self.counts.now());
            // Somebody else's answer may have been enough.
            let wanted = match meter.spend(rules, now, wall) {
                Attempt::Ask(wanted) => wanted,
                settled @ (Attempt::Counted | Attempt::Refused(..)) => return settled,
            };
            let taken = self.take(&meter.tenant.name, rules, wanted, Some(credential), wall);
            let Some(granted) = taken.await else {
                meter.tenant.keep_back(wanted.hour_back);
                let processes = self.processes.load(Ordering::Relaxed);
                return meter.spend_alone(rules, processes, now, wall);
            };
            meter.put(wanted, granted, Instant::now(), wall);
        }
    }

    /// What Redis gives; absent = it does not answer.
    async fn take(
        &self,
        tenant: &str,
        rules: CallRules,
        wanted: Wanted,
        credential: Option<Credential>,
        now: DateTime<Utc>,
    ) -> Option<CallsGranted> {
        if !self.may_ask() {
            return None;
        }
        let wanted = CallsWanted {
            tenant: tenant.to_owned(),
            per_hour: rules.per_hour,
            of_hour: wanted.of_hour,
            hour_back: wanted.hour_back,
            hour_known: wanted.hour_known,
            credential,
            per_second: rules.per_second,
            of_second: wanted.of_second,
            second_back: wanted.second_back,
            now,
        };
        let answer = self.counts.take(&wanted).await;
        self.note(answer.as_ref().err());
        let granted = answer.ok()?;
        self.processes.store(granted.processes, Ordering::Relaxed);
        Some(granted)
    }

    /// Whether Redis is to be asked. While it is away, one call a second tries.
    fn may_ask(&self) -> bool {
        let mut away = self.away();
        let now = Instant::now();
        match *away {
            Some(until) if now < until => false,
            Some(_) => {
                *away = Some(now + AWAY_FOR);
                true
            }
            None => true,
        }
    }

    fn note(&self, error: Option<&GateError>) {
        let mut away = self.away();
        match (error, away.is_some()) {
            (Some(error), was_away) => {
                *away = Some(Instant::now() + AWAY_FOR);
                if !was_away {
                    let error = chain(error);
                    tracing::warn!(error, "calls are counted without Redis");
                }
            }
            (None, true) => {
                *away = None;
                tracing::info!("calls are counted in Redis again");
            }
            (None, false) => {}
        }
    }

    fn away(&self) -> MutexGuard<'_, Option<Instant>> {
        self.away_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Meters> {
        // Each table is whole between any two statements.
        self.meters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives back what nobody uses, and forgets who is gone.
    async fn give_back(&self) {
        let now = Instant::now();
        let tenants: Vec<Arc<TenantMeter>> = {
            let mut meters = self.lock();
            meters.keys.retain(|_, key| key.idle_for(now) < KEY_KEPT);
            meters
                .tenants
                .retain(|_, tenant| tenant.idle_for(now) < TENANT_KEPT);
            meters.tenants.values().cloned().collect()
        };
        for tenant in tenants {
            let wall = self.counts.now();
            let Some(wanted) = tenant.take_back(Instant::now(), wall) else {
                continue;
            };
            let nothing = CallRules {
                per_hour: 0,
                per_second: 0,
            };
            let taken = self.take(&tenant.name, nothing, wanted, None, wall);
            if taken.await.is_none() {
                tenant.keep_back(wanted.hour_back);
            }
        }
    }
}

/// Somebody who waits, until it is dropped: a request may be given up at any moment.
struct Waiting<'a>(&'a KeyMeter);

impl<'a> Waiting<'a> {
    fn of(meter: &'a KeyMeter) -> Self {
        meter.waiting.fetch_add(1, Ordering::Relaxed);
        Self(meter)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn sweep(inner: std::sync::Weak<Inner>) {
    let mut ticks = interval(SWEEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(inner) = inner.upgrade() else { return };
        inner.give_back().await;
    }
}

impl std::fmt::Debug for CallLimiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CallLimiter").finish_non_exhaustive()
    }
}
