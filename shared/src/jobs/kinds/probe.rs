//! `probe`: a job that does as it is told, for operators who test a deployment, for benchmarks and
//! for fault drills. It exists only where `UNITY_PROBE_JOBS=1`.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::jobs::{JobKind, RetryPolicy};

/// What the probe is to do. It sleeps first, then fails or succeeds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// Milliseconds of sleep. Absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep_ms: Option<u32>,
    /// How many attempts fail with a retryable error before one succeeds. Absent = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fail_attempts: Option<u32>,
    /// Milliseconds that each of those errors asks to wait for at least. Absent = as the kind's policy
    /// says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u32>,
    /// The first time that a worker takes it, it asks to be run again so many milliseconds later, and
    /// the attempt does not count. Absent = it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snooze_ms: Option<u32>,
    /// Fails with an error that no retry can mend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fatal: Option<bool>,
    /// Panics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub panic: Option<bool>,
    /// Comes back in the result. Absent = null.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    pub echo: Option<Value>,
    /// Progress reports, evenly over the sleep, 0 to 100. Absent = none.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "at_most_a_hundred"
    )]
    #[schema(maximum = 100)]
    pub progress_steps: Option<u8>,
}

fn at_most_a_hundred<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u8>, D::Error> {
    let steps = Option::<u8>::deserialize(deserializer)?;
    match steps {
        Some(steps) if steps > 100 => Err(serde::de::Error::custom("must be between 0 and 100")),
        steps => Ok(steps),
    }
}

impl JobKind for Probe {
    const NAME: &'static str = "probe";
    const TIMEOUT: Duration = Duration::from_mins(5);
    const PROBE: bool = true;
    const RETRY: RetryPolicy = RetryPolicy {
        max_attempts: 5,
        base: Duration::from_millis(100),
        cap: Duration::from_secs(10),
        jitter: 0.25,
    };
}
