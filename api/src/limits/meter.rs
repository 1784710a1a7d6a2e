//! What this process was given of a key's second and of its tenant's hour, and what is left of it.
//!
//! Calls are taken from Redis several at a time, so that a client that polls a thousand times a second
//! costs a few round trips. How many at a time follows what was used of the last: a client that calls
//! now and then gets one at a time, and nothing is held back from others. What is not used in time is
//! given back. Nothing here waits or asks anybody.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::time::Instant;
use unity_shared::queue::{CallsGranted, into_hour};

use super::{
    bucket::{Bucket, Flow},
    headers::Standing,
    rules::{CallRules, KnownRules},
};

/// How long calls of a second may be kept.
const SECOND_KEPT: Duration = Duration::from_millis(100);
/// How long calls of an hour may be kept.
const HOUR_KEPT: Duration = Duration::from_secs(1);
/// A refusal is remembered no longer, so that nobody is asked for every call of a flood.
const REFUSAL_KEPT: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// A key or session.
#[derive(Debug)]
pub struct KeyMeter {
    /// Whose hour it spends.
    pub tenant: Arc<TenantMeter>,
    /// Held while Redis is asked: those who find nothing left wait for one answer.
    pub asking: tokio::sync::Mutex<()>,
    /// How many wait for it.
    pub waiting: AtomicU32,
    second: Mutex<Second>,
}

/// A tenant, or the platform.
#[derive(Debug)]
pub struct TenantMeter {
    /// Its slug, or `platform`.
    pub name: String,
    /// What it may spend, as far as it has been read.
    pub rules: Mutex<Option<KnownRules>>,
    hour: Mutex<Hour>,
}

#[derive(Debug)]
struct Second {
    kept: Kept,
    /// Calls that nobody had taken when Redis last said so, and when that was.
    left: (u32, DateTime<Utc>),
    refused_until: Option<Instant>,
    /// Instead of Redis.
    alone: Bucket,
    used_at: Instant,
}

#[derive(Debug)]
struct Hour {
    /// Which hour, counted from 1970.
    number: i64,
    kept: Kept,
    refused_until: Option<Instant>,
    /// To be given back; negative = spent while Redis did not answer.
    back: i64,
    /// Calls of this hour and of the one before, as Redis last said.
    spent: u64,
    before: u64,
    /// Instead of Redis.
    alone: Bucket,
    used_at: Instant,
}

/// Calls that were given and are not used yet.
#[derive(Debug, Clone, Copy)]
struct Kept {
    calls: u32,
    given: u32,
    until: Instant,
}

/// What a call comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is counted.
    Counted,
    /// It is one too many for this limit, for so long.
    Refused(&'static str, Duration),
    /// Redis must be asked for so many.
    Ask(Wanted),
}

/// What is wanted of Redis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Calls of the second.
    pub of_second: u32,
    /// Given back to it.
    pub second_back: u32,
    /// Calls of the hour.
    pub of_hour: u32,
    /// Given back to it.
    pub hour_back: i64,
    /// Calls of the hour, as Redis last said.
    pub hour_known: u64,
}

impl Kept {
    const fn nothing(now: Instant) -> Self {
        Self {
            calls: 0,
            given: 1,
            until: now,
        }
    }

    const fn has(&self, now_is_before_end: bool) -> bool {
        self.calls > 0 && now_is_before_end
    }

    /// How many to ask for: twice as many if those were used up in time, else as many as were used.
    /// Whoever waits gets one.
    fn next(&self, now: Instant, waiting: u32, most: u32) -> u32 {
        let used = self.given.saturating_sub(self.calls);
        let wanted = if self.calls == 0 && now < self.until {
            self.given.saturating_mul(2)
        } else {
            used
        };
        wanted.max(waiting).clamp(1, most.max(1))
    }

    fn put(&mut self, given: u32, until: Instant) {
        self.calls = self.calls.saturating_add(given);
        self.given = given.max(1);
        self.until = until;
    }
}

impl TenantMeter {
    /// Nothing was given yet.
    pub fn new(name: String, now: Instant) -> Self {
        Self {
            name,
            rules: Mutex::new(None),
            hour: Mutex::new(Hour {
                number: 0,
                kept: Kept::nothing(now),
                refused_until: None,
                back: 0,
                spent: 0,
                before: 0,
                alone: Bucket::full(now),
                used_at: now,
            }),
        }
    }

    /// What is to be given back although nobody calls, with what is known of the hour.
    pub fn take_back(&self, now: Instant, wall: DateTime<Utc>) -> Option<Wanted> {
        let mut hour = lock(&self.hour);
        hour.roll(wall);
        hour.expire(now);
        if hour.back == 0 {
            return None;
        }
        Some(Wanted {
            of_second: 0,
            second_back: 0,
            of_hour: 0,
            hour_back: std::mem::take(&mut hour.back),
            hour_known: hour.spent,
        })
    }

    /// What could not be given back.
    pub fn keep_back(&self, back: i64) {
        lock(&self.hour).back += back;
    }

    /// Whether nobody has called for so long.
    pub fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(lock(&self.hour).used_at)
    }
}

impl KeyMeter {
    /// Nothing was given yet.
    pub fn new(tenant: Arc<TenantMeter>, now: Instant) -> Self {
        Self {
            tenant,
            asking: tokio::sync::Mutex::default(),
            waiting: AtomicU32::new(0),
            second: Mutex::new(Second {
                kept: Kept::nothing(now),
                left: (0, DateTime::UNIX_EPOCH),
                refused_until: None,
                alone: Bucket::full(now),
                used_at: now,
            }),
        }
    }

    /// Whether nobody has called for so long.
    pub fn idle_for(&self, now: Instant) -> Duration {
        now.saturating_duration_since(lock(&self.second).used_at)
    }

    /// Counts a call with what was given, or says what to ask for.
    pub fn spend(&self, rules: CallRules, now: Instant, wall: DateTime<Utc>) -> Attempt {
        let (mut second, mut hour) = (lock(&self.second), lock(&self.tenant.hour));
        second.used_at = now;
        hour.used_at = now;
        hour.roll(wall);
        if let Some(until) = second.refused_until.filter(|until| now < *until) {
            return Attempt::Refused("key", until - now);
        }
        if hour.refused_until.is_some_and(|until| now < until) {
            return Attempt::Refused("tenant", hour.wait(rules, wall));
        }
        let has_second = second.kept.has(now < second.kept.until);
        let has_hour = hour.kept.has(now < hour.kept.until);
        if has_second && has_hour {
            second.kept.calls -= 1;
            hour.kept.calls -= 1;
            return Attempt::Counted;
        }
        let waiting = self.waiting.load(Ordering::Relaxed);
        let (mut of_second, mut of_hour, mut second_back) = (0, 0, 0);
        if !has_second {
            of_second = second.kept.next(now, waiting, rules.per_second / 20);
            second_back = std::mem::take(&mut second.kept.calls);
        }
        if !has_hour {
            of_hour = hour.kept.next(now, waiting, rules.per_hour / 100);
            hour.expire(now);
        }
        Attempt::Ask(Wanted {
            of_second,
            second_back,
            of_hour,
            hour_back: std::mem::take(&mut hour.back),
            hour_known: hour.spent,
        })
    }

    /// Takes in what Redis gave.
    pub fn put(&self, wanted: Wanted, granted: CallsGranted, now: Instant, wall: DateTime<Utc>) {
        let (mut second, mut hour) = (lock(&self.second), lock(&self.tenant.hour));
        second.refused_until = None;
        second.left = (granted.second_left, wall);
        if wanted.of_second > 0 {
            if granted.of_second > 0 {
                second.kept.put(granted.of_second, now + SECOND_KEPT);
            } else {
                second.refused_until = Some(now + granted.second_wait.min(REFUSAL_KEPT));
            }
        }
        hour.spent = granted.hour_spent;
        hour.before = granted.hour_before;
        hour.refused_until = None;
        let second_passed = wanted.of_second == 0 || granted.of_second > 0;
        if wanted.of_hour > 0 && second_passed {
            if granted.of_hour > 0 {
                hour.kept.put(granted.of_hour, now + HOUR_KEPT);
            } else {
                hour.refused_until = Some(now + REFUSAL_KEPT);
            }
        }
    }

    /// Counts a call without Redis: with what is left of what was given, else with this process' share
    /// of what the limits allow, evenly over the time.
    pub fn spend_alone(
        &self,
        rules: CallRules,
        processes: u32,
        now: Instant,
        wall: DateTime<Utc>,
    ) -> Attempt {
        let (mut second, mut hour) = (lock(&self.second), lock(&self.tenant.hour));
        second.used_at = now;
        hour.used_at = now;
        hour.roll(wall);
        if let Err(wait) = second.alone.take(second_alone(rules, processes), now) {
            return Attempt::Refused("key", wait);
        }
        if hour.kept.calls > 0 {
            hour.kept.calls -= 1;
            return Attempt::Counted;
        }
        match hour.alone.take(hour_alone(rules, processes), now) {
            Ok(()) => {
                hour.back -= 1;
                Attempt::Counted
            }
            Err(wait) => Attempt::Refused("tenant", wait),
        }
    }

    /// How the caller stands, as far as this process knows.
    pub fn standings(&self, rules: CallRules, wall: DateTime<Utc>) -> [Standing; 2] {
        let (second, hour) = (lock(&self.second), lock(&self.tenant.hour));
        let CallRules {
            per_hour,
            per_second,
        } = rules;
        let now = Instant::now();
        let refused = second.refused_until.is_some_and(|until| now < until);
        let kept = u64::from(hour.kept.calls);
        let used = hour.spent.saturating_sub(kept) + hour.weighed_before(wall);
        [
            Standing {
                name: "key",
                quota: per_second,
                window: Duration::from_secs(1),
                left: if refused {
                    0
                } else {
                    second.left(per_second, wall)
                },
                reset: Duration::from_secs(1),
            },
            Standing {
                name: "tenant",
                quota: per_hour,
                window: HOUR,
                left: u32::try_from(u64::from(per_hour).saturating_sub(used)).unwrap_or(u32::MAX),
                reset: HOUR.saturating_sub(into_hour(wall)),
            },
        ]
    }
}

impl Second {
    /// Calls that may be made now: what is kept here, what nobody had taken, and what has come since.
    fn left(&self, per_second: u32, wall: DateTime<Utc>) -> u32 {
        let (left, told_at) = self.left;
        let since = (wall - told_at).num_milliseconds().clamp(0, 1000);
        let come = u64::from(per_second) * since.unsigned_abs() / 1000;
        let left = u64::from(self.kept.calls) + u64::from(left) + come;
        u32::try_from(left).unwrap_or(u32::MAX).min(per_second)
    }
}

impl Hour {
    /// What was given in another hour is worth nothing in this one.
    fn roll(&mut self, wall: DateTime<Utc>) {
        let number = wall.timestamp().div_euclid(3600);
        if self.number == number {
            return;
        }
        self.before = if self.number + 1 == number {
            self.spent
        } else {
            0
        };
        self.number = number;
        self.kept.calls = 0;
        self.refused_until = None;
        self.back = 0;
        self.spent = 0;
    }

    /// What was not used in time is to be given back.
    fn expire(&mut self, now: Instant) {
        if now >= self.kept.until {
            self.back += i64::from(std::mem::take(&mut self.kept.calls));
        }
    }

    /// Calls of the hour before that are less than an hour ago, if they were spread evenly.
    fn weighed_before(&self, wall: DateTime<Utc>) -> u64 {
        let left = HOUR.saturating_sub(into_hour(wall)).as_millis();
        let weighed = u128::from(self.before) * left / HOUR.as_millis();
        u64::try_from(weighed).unwrap_or(u64::MAX)
    }

    /// Until the tenant has a call again.
    fn wait(&self, rules: CallRules, wall: DateTime<Utc>) -> Duration {
        let (into, limit) = (into_hour(wall), u64::from(rules.per_hour));
        let room = limit.saturating_sub(1);
        if limit == 0 {
            return HOUR;
        }
        // The part of an hour's calls that must have become older than an hour.
        let aged = |calls: u64, room: u64| {
            let excess = calls.saturating_sub(room);
            HOUR.mul_f64(ratio(excess, calls.max(1)))
        };
        if self.spent <= room {
            aged(self.before, room - self.spent)
                .saturating_sub(into)
                .max(Duration::from_secs(1))
        } else {
            HOUR.saturating_sub(into) + aged(self.spent, room)
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a share of an hour, to the second"
)]
fn ratio(part: u64, whole: u64) -> f64 {
    (part as f64 / whole as f64).clamp(0.0, 1.0)
}

/// A process' share of a second.
fn second_alone(rules: CallRules, processes: u32) -> Flow {
    let share = f64::from(rules.per_second.max(1)) / f64::from(processes.max(1));
    Flow {
        per_second: share.max(0.1),
        burst: share.max(1.0),
    }
}

/// A process' share of an hour: evenly, and a minute's worth at once.
fn hour_alone(rules: CallRules, processes: u32) -> Flow {
    let share = f64::from(rules.per_hour) / f64::from(processes.max(1));
    Flow {
        per_second: (share / 3600.0).max(1.0 / 3600.0),
        burst: (share / 60.0).max(1.0),
    }
}

/// Each state is whole between any two statements.
fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CallRules = CallRules {
        per_hour: 10_000,
        per_second: 1_000,
    };

    fn wall() -> DateTime<Utc> {
        "2026-01-05T12:30:00Z".parse().unwrap()
    }

    fn meter(now: Instant) -> KeyMeter {
        KeyMeter::new(Arc::new(TenantMeter::new("acme".to_owned(), now)), now)
    }

    fn all(wanted: Wanted) -> CallsGranted {
        CallsGranted {
            of_second: wanted.of_second,
            second_wait: Duration::ZERO,
            second_left: 0,
            of_hour: wanted.of_hour,
            hour_spent: wanted.hour_known + u64::from(wanted.of_hour),
            hour_before: 0,
            processes: 1,
        }
    }

    /// Calls `count` times and answers how often Redis was asked.
    fn call(meter: &KeyMeter, count: u32, now: Instant) -> u32 {
        let mut asked = 0;
        for _ in 0..count {
            loop {
                match meter.spend(RULES, now, wall()) {
                    Attempt::Counted => break,
                    Attempt::Ask(wanted) => {
                        asked += 1;
                        meter.put(wanted, all(wanted), now, wall());
                    }
                    Attempt::Refused(limit, _) => panic!("refused by {limit}"),
                }
            }
        }
        asked
    }

    #[test]
    fn a_busy_client_asks_seldom_and_a_quiet_one_takes_one_at_a_time() {
        let start = Instant::now();
        let meter = meter(start);
        assert!(call(&meter, 1_000, start) < 40);
        let later = start + Duration::from_mins(1);
        let Attempt::Ask(wanted) = meter.spend(RULES, later, wall()) else {
            panic!("nothing that was given is good a minute later");
        };
        meter.put(wanted, all(wanted), later, wall());
        assert_eq!(meter.spend(RULES, later, wall()), Attempt::Counted);
        let much_later = start + Duration::from_mins(2);
        let Attempt::Ask(wanted) = meter.spend(RULES, much_later, wall()) else {
            panic!("nothing that was given is good a minute later");
        };
        assert_eq!((wanted.of_second, wanted.of_hour), (1, 1));
        assert!(wanted.hour_back > 0, "what was not used is given back");
    }

    #[test]
    fn a_refusal_is_remembered_for_a_moment() {
        let start = Instant::now();
        let meter = meter(start);
        let Attempt::Ask(wanted) = meter.spend(RULES, start, wall()) else {
            panic!("nothing was given yet");
        };
        let none = CallsGranted {
            of_hour: 0,
            hour_spent: 10_000,
            ..all(wanted)
        };
        meter.put(wanted, none, start, wall());
        let Attempt::Refused("tenant", wait) = meter.spend(RULES, start, wall()) else {
            panic!("the hour is used up");
        };
        assert_eq!(
            wait.as_secs(),
            1800,
            "half of the hour is left, and one call of it is old then"
        );
        assert_eq!(meter.standings(RULES, wall())[1].left, 0);
        let later = start + REFUSAL_KEPT;
        assert!(matches!(meter.spend(RULES, later, wall()), Attempt::Ask(_)));
        let next_hour = wall() + chrono::TimeDelta::minutes(31);
        assert!(matches!(
            meter.spend(RULES, start, next_hour),
            Attempt::Ask(_)
        ));
    }

    #[test]
    fn without_redis_a_process_has_its_share_and_owes_what_it_spends() {
        let start = Instant::now();
        let meter = meter(start);
        let mut counted = 0;
        while meter.spend_alone(RULES, 2, start, wall()) == Attempt::Counted {
            counted += 1;
        }
        assert_eq!(
            counted, 83,
            "a minute's worth of half of ten thousand an hour"
        );
        let back = meter.tenant.take_back(start, wall()).unwrap();
        assert_eq!(back.hour_back, -83);
        let later = start + Duration::from_mins(1);
        let mut again = 0;
        while meter.spend_alone(RULES, 2, later, wall()) == Attempt::Counted {
            again += 1;
        }
        assert_eq!(again, 83, "neither open nor dead");
    }
}
