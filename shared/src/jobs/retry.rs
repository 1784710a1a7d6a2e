//! When a failed job is tried again. The engine is the only authority over attempts, and this is
//! the only module that knows the `backoff` crate (unmaintained, so it must be easy to replace).

use std::time::Duration;

use backoff::{ExponentialBackoff, ExponentialBackoffBuilder, backoff::Backoff};

/// How often a kind is tried and how long it waits in between.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RetryPolicy {
    /// Most attempts, 1 to 100.
    pub max_attempts: i32,
    /// Wait after the first failure, before jitter.
    pub base: Duration,
    /// Longest wait, before jitter.
    pub cap: Duration,
    /// Share by which a wait is lengthened or shortened at random, 0.0 to 1.0, so that jobs that
    /// failed together do not come back together.
    pub jitter: f64,
}

impl RetryPolicy {
    /// Five attempts over about half a minute: 1, 2, 4 and 8 seconds, give or take a quarter.
    pub const STANDARD: Self = Self {
        max_attempts: 5,
        base: Duration::from_secs(1),
        cap: Duration::from_mins(5),
        jitter: 0.25,
    };

    /// The wait after attempt number `attempt` (1 for the first) has failed.
    #[must_use]
    pub fn delay_after(&self, attempt: i32) -> Duration {
        let mut series: ExponentialBackoff = ExponentialBackoffBuilder::new()
            .with_initial_interval(self.base)
            .with_max_interval(self.cap)
            .with_multiplier(2.0)
            .with_randomization_factor(self.jitter)
            .with_max_elapsed_time(None)
            .build();
        let mut delay = self.base;
        for _ in 0..attempt.clamp(1, 64) {
            delay = series.next_backoff().unwrap_or(self.cap);
        }
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_cap() {
        let policy = RetryPolicy {
            max_attempts: 9,
            base: Duration::from_secs(1),
            cap: Duration::from_secs(5),
            jitter: 0.0,
        };
        let waits: Vec<u64> = (1..=5).map(|n| policy.delay_after(n).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 5, 5]);
    }

    #[test]
    fn jitter_stays_within_its_share() {
        for _ in 0..100 {
            let wait = RetryPolicy::STANDARD.delay_after(1);
            assert!(wait >= Duration::from_millis(750) && wait <= Duration::from_millis(1250));
        }
    }
}
