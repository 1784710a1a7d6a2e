//! A job as the gate knows it.

use chrono::{DateTime, Utc};

use super::Line;
use crate::ids::{JobId, TenantId, WorkerId};

/// A queued job on its way into its tenant's waiting list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Whose job it is.
    pub tenant_id: TenantId,
    /// The job.
    pub id: JobId,
    /// The queue that its kind belongs to.
    pub queue: String,
    /// Its kind.
    pub kind: String,
    /// 0 (last) to 9 (first).
    pub priority: i16,
    /// Within one priority, what was due earlier goes first.
    pub run_at: DateTime<Utc>,
    /// At most one job of a tenant with the same key runs at a time; absent = no such bond.
    pub resource_key: Option<String>,
}

/// A running job, as it is written back into an emptied gate.
#[derive(Debug, Clone)]
pub struct Running {
    /// The job as it was offered.
    pub offer: Offer,
    /// Who runs it.
    pub worker_id: WorkerId,
    /// When its lease ends.
    pub lease_expires_at: DateTime<Utc>,
}

/// Steps between two priorities in a score: more milliseconds than any date in use has, while ten
/// of them still fit a double exactly.
const PRIORITY_STEP: i64 = 100_000_000_000_000;

impl Offer {
    /// The line in which it waits.
    #[must_use]
    pub fn line(&self) -> Line {
        Line {
            tenant_id: self.tenant_id.clone(),
            queue: self.queue.clone(),
            kind: self.kind.clone(),
        }
    }

    /// Where the job stands in its waiting list: lower runs first. Equal scores are ordered by id,
    /// that is by creation.
    pub(super) fn score(&self) -> i64 {
        let behind = i64::from(9 - self.priority.clamp(0, 9));
        behind * PRIORITY_STEP + self.run_at.timestamp_millis().clamp(0, PRIORITY_STEP - 1)
    }

    /// The text under which the gate keeps the job: tab-separated, in the order that
    /// `lua/prelude.lua` reads. No part can hold a tab: names are ours, and a resource key is
    /// checked at the door.
    pub(super) fn info(&self) -> String {
        format!(
            "{}\t{}\t{}\t{}\t{}",
            self.tenant_id,
            self.queue,
            self.kind,
            self.score(),
            self.resource_key.as_deref().unwrap_or_default()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(priority: i16, at_ms: i64) -> Offer {
        Offer {
            tenant_id: TenantId::parse("acme").unwrap(),
            id: JobId::new(),
            queue: "default".into(),
            kind: "probe".into(),
            priority,
            run_at: DateTime::from_timestamp_millis(at_ms).unwrap(),
            resource_key: None,
        }
    }

    #[test]
    fn a_higher_priority_goes_first_and_then_what_was_due_earlier() {
        assert!(offer(9, 2_000).score() < offer(0, 1_000).score());
        assert!(offer(5, 1_000).score() < offer(5, 1_001).score());
    }

    #[test]
    fn a_score_is_exact_as_a_double() {
        let highest = offer(0, 4_102_444_800_000).score();
        assert!(highest < 1 << 53);
    }
}
