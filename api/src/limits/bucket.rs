//! A bucket that refills smoothly: the generic cell rate algorithm.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a bucket refills, and how much it holds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flow {
    /// Cells a second; above 0.
    pub per_second: f64,
    /// Cells that it holds; at least 1.
    pub burst: f64,
}

/// A bucket, by the instant when it would be full again.
#[derive(Debug, Clone, Copy)]
pub struct Bucket(Instant);

impl Bucket {
    /// A full one.
    pub const fn full(now: Instant) -> Self {
        Self(now)
    }

    /// Takes a cell, or says when there is one.
    pub fn take(&mut self, flow: Flow, now: Instant) -> Result<(), Duration> {
        let wait = self.wait(flow, now);
        if wait.is_zero() {
            self.0 = self.0.max(now) + seconds(1.0 / flow.per_second);
            Ok(())
        } else {
            Err(wait)
        }
    }

    /// Until there is a cell to take.
    pub fn wait(&self, flow: Flow, now: Instant) -> Duration {
        let debt = self.debt(now) + 1.0 / flow.per_second - flow.burst / flow.per_second;
        // Less than a microsecond is rounding.
        if debt > 1e-6 {
            seconds(debt)
        } else {
            Duration::ZERO
        }
    }

    /// Whole cells that are left.
    pub fn left(&self, flow: Flow, now: Instant) -> u32 {
        let cells = flow.burst - self.debt(now) * flow.per_second + 1e-6;
        whole(cells)
    }

    /// Whether it is full, so that nothing needs to be remembered of it.
    pub fn is_full(&self, now: Instant) -> bool {
        self.0 <= now
    }

    fn debt(&self, now: Instant) -> f64 {
        self.0.saturating_duration_since(now).as_secs_f64()
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a float is cut to the range of the integer"
)]
fn whole(cells: f64) -> u32 {
    cells.max(0.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const FLOW: Flow = Flow {
        per_second: 10.0,
        burst: 5.0,
    };

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let start = Instant::now();
        let mut bucket = Bucket::full(start);
        assert_eq!(bucket.left(FLOW, start), 5);
        for _ in 0..5 {
            bucket.take(FLOW, start).unwrap();
        }
        assert_eq!(bucket.left(FLOW, start), 0);
        let wait = bucket.take(FLOW, start).unwrap_err();
        assert!((wait.as_secs_f64() - 0.1).abs() < 1e-3, "{wait:?}");
        let mut taken = 0;
        for step in 0..1000 {
            let now = start + Duration::from_millis(step);
            taken += u32::from(bucket.take(FLOW, now).is_ok());
        }
        assert_eq!(taken, 9, "ten a second, the first after a tenth");
        assert!(!bucket.is_full(start + Duration::from_secs(1)));
        assert!(bucket.is_full(start + Duration::from_secs(2)));
    }
}
