//! The time, as a parameter.
//!
//! Leases are written by one process and judged by another, so all of them must read the same
//! clock: PostgreSQL's. A process reads that clock when it connects and each minute, and counts on from
//! there by a clock that nobody can set: a machine whose date is moved does not see slots and leases
//! end that are live. Tests hold the time in their hand.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Instant,
};

use chrono::{DateTime, TimeDelta, Utc};

/// A cheap handle on the current time. Clones read the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// Microseconds since the Unix epoch at `started`, by the machine's date at first and then by the
    /// database's.
    System {
        started: Instant,
        at_start: Arc<AtomicI64>,
    },
    /// Microseconds since the Unix epoch, moved by the test.
    Manual { now: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's date, until [`Clock::align`] moves it to the database's.
    #[must_use]
    pub fn system() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the machine's date"
        )]
        let now = Utc::now().timestamp_micros();
        Self(Source::System {
            started: Instant::now(),
            at_start: Arc::new(AtomicI64::new(now)),
        })
    }

    /// A clock that stands still at `start` until [`Clock::advance`].
    #[must_use]
    pub fn manual(start: DateTime<Utc>) -> Self {
        Self(Source::Manual {
            now: Arc::new(AtomicI64::new(start.timestamp_micros())),
        })
    }

    /// Now, in UTC, to the microsecond (what PostgreSQL stores).
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        let micros = match &self.0 {
            Source::System { started, at_start } => at_start
                .load(Ordering::Relaxed)
                .saturating_add(micros_since(*started)),
            Source::Manual { now } => now.load(Ordering::Relaxed),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Follows the database's clock: `database_now` was read at about this moment.
    ///
    /// A manual clock ignores it: there the test is the authority.
    pub fn align(&self, database_now: DateTime<Utc>) {
        if let Source::System { started, at_start } = &self.0 {
            let then = database_now.timestamp_micros() - micros_since(*started);
            at_start.store(then, Ordering::Relaxed);
        }
    }

    /// Moves a manual clock forward; a system clock ignores it.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual { now } = &self.0 {
            now.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
}

fn micros_since(started: Instant) -> i64 {
    i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_when_told() {
        let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let clock = Clock::manual(start);
        clock.align(DateTime::<Utc>::UNIX_EPOCH);
        assert_eq!(clock.now(), start);
        clock.advance(TimeDelta::seconds(7));
        assert_eq!(clock.clone().now(), start + TimeDelta::seconds(7));
    }

    #[test]
    fn an_aligned_clock_reads_the_database_time() {
        let clock = Clock::system();
        let database = clock.now() + TimeDelta::hours(3);
        clock.align(database);
        assert!((clock.now() - database).abs() < TimeDelta::seconds(5));
    }
}
