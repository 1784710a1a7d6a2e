//! The time, as a parameter.
//!
//! Leases are written by one process and judged by another, so all of them must read the same
//! clock: PostgreSQL's. A process measures its distance from that clock when it connects and then
//! adds it to its own. Tests hold the time in their hand.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use chrono::{DateTime, TimeDelta, Utc};

/// A cheap handle on the current time. Clones read the same clock.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    /// The machine's clock plus the distance from the database's, in microseconds.
    System { offset: Arc<AtomicI64> },
    /// Microseconds since the Unix epoch, moved by the test.
    Manual { now: Arc<AtomicI64> },
}

impl Clock {
    /// The machine's clock, until [`Clock::align`] moves it to the database's.
    #[must_use]
    pub fn system() -> Self {
        Self(Source::System {
            offset: Arc::new(AtomicI64::new(0)),
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
            Source::System { offset } => {
                #[expect(
                    clippy::disallowed_methods,
                    reason = "the one place that reads the machine's clock"
                )]
                let local = Utc::now().timestamp_micros();
                local.saturating_add(offset.load(Ordering::Relaxed))
            }
            Source::Manual { now } => now.load(Ordering::Relaxed),
        };
        DateTime::from_timestamp_micros(micros).unwrap_or(DateTime::<Utc>::MAX_UTC)
    }

    /// Follows the database's clock: `database_now` was read at about this moment.
    ///
    /// A manual clock ignores it: there the test is the authority.
    pub fn align(&self, database_now: DateTime<Utc>) {
        if let Source::System { offset } = &self.0 {
            #[expect(
                clippy::disallowed_methods,
                reason = "measures the distance from the machine's clock"
            )]
            let local = Utc::now().timestamp_micros();
            offset.store(database_now.timestamp_micros() - local, Ordering::Relaxed);
        }
    }

    /// Moves a manual clock forward; a system clock ignores it.
    pub fn advance(&self, by: TimeDelta) {
        if let Source::Manual { now } = &self.0 {
            now.fetch_add(by.num_microseconds().unwrap_or(i64::MAX), Ordering::Relaxed);
        }
    }
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
