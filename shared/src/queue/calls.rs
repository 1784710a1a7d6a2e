//! The calls that API keys and tenants may make, counted in Redis for all API processes together.
//!
//! One script takes calls of a key's second and of its tenant's hour (`calls.lua`), several at a
//! time. The hour's count is a plain number under `tenant:{id}:api_calls:{yyyy-mm-dd}:{hh}` behind the
//! installation's prefix, and says what was handed out: API processes give back what they do not use.

use std::{fmt, sync::Arc, time::Duration};

use chrono::{DateTime, Timelike, Utc};
use redis::{Script, aio::ConnectionManager};
use uuid::Uuid;

use super::{Gate, GateError};
use crate::{
    clock::Clock,
    ids::{ApiKeyId, SessionId},
};

/// Handle on the counts. Clones share the connection.
#[derive(Clone)]
pub struct CallCounts {
    connection: ConnectionManager,
    prefix: String,
    clock: Clock,
    script: Arc<Script>,
    process: Uuid,
}

/// What has a second of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Credential {
    /// An API key.
    Key(ApiKeyId),
    /// A login.
    Session(SessionId),
}

impl fmt::Display for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(id) => id.fmt(f),
            Self::Session(id) => id.fmt(f),
        }
    }
}

/// What an API process wants.
#[derive(Debug, Clone)]
pub struct CallsWanted {
    /// Whose hour: a tenant's slug, or `platform`.
    pub tenant: String,
    /// Calls that it may make in an hour.
    pub per_hour: u32,
    /// How many of them are wanted now.
    pub of_hour: u32,
    /// How many were not used of what was given in this hour; negative = calls that were made while
    /// Redis did not answer.
    pub hour_back: i64,
    /// Calls of this hour that the process knows of. If Redis has lost its count, this is where it
    /// goes on.
    pub hour_known: u64,
    /// Whose second; absent = nothing is wanted of any.
    pub credential: Option<Credential>,
    /// Calls that it may make in a second.
    pub per_second: u32,
    /// How many of them are wanted now.
    pub of_second: u32,
    /// How many were not used of what was given before.
    pub second_back: u32,
    /// The instant.
    pub now: DateTime<Utc>,
}

/// What it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallsGranted {
    /// Calls of the second; 0 = none is left.
    pub of_second: u32,
    /// Until there is one more, if there is none.
    pub second_wait: Duration,
    /// Calls of the second that nobody has taken yet.
    pub second_left: u32,
    /// Calls of the hour; 0 = none is left, or none of the second.
    pub of_hour: u32,
    /// Calls that were handed out in this hour, to all processes.
    pub hour_spent: u64,
    /// The same of the hour before.
    pub hour_before: u64,
    /// API processes that asked within the last minute.
    pub processes: u32,
}

/// The longest time that a request waits for Redis to count it.
const PATIENCE: Duration = Duration::from_millis(250);

impl Gate {
    /// The counts of calls.
    #[must_use]
    pub fn call_counts(&self) -> CallCounts {
        CallCounts {
            connection: self.connection.clone(),
            prefix: self.settings.prefix.clone(),
            clock: self.clock.clone(),
            script: Arc::new(Script::new(include_str!("calls.lua"))),
            process: Uuid::now_v7(),
        }
    }
}

impl CallCounts {
    /// Takes calls.
    pub async fn take(&self, wanted: &CallsWanted) -> Result<CallsGranted, GateError> {
        let CallsWanted {
            tenant,
            per_hour,
            of_hour,
            hour_back,
            hour_known,
            credential,
            per_second,
            of_second,
            second_back,
            now,
        } = wanted;
        let credential = credential.map_or_else(|| "none".to_owned(), |named| named.to_string());
        let mut call = self.script.prepare_invoke();
        call.key(self.hour_key(tenant, *now))
            .key(self.hour_key(tenant, *now - chrono::TimeDelta::hours(1)))
            .key(format!("{}:calls:{credential}", self.prefix))
            .key(format!("{}:api_processes", self.prefix))
            .arg(now.timestamp_millis())
            .arg(
                u64::try_from(into_hour(*now).as_millis())
                    .unwrap_or(0)
                    .min(3_599_999),
            )
            .arg(*per_hour)
            .arg(*of_hour)
            .arg(*hour_back)
            .arg(*hour_known)
            .arg(*per_second)
            .arg(*of_second)
            .arg(*second_back)
            .arg(self.process.to_string());
        let mut connection = self.connection.clone();
        let answer = tokio::time::timeout(PATIENCE, call.invoke_async(&mut connection));
        let (of_second, wait, second_left, of_hour, hour_spent, hour_before, processes): (
            u32,
            u64,
            u32,
            u32,
            u64,
            u64,
            u32,
        ) = answer
            .await
            .map_err(|_| GateError::Answer {
                operation: OPERATION,
                detail: format!("none within {PATIENCE:?}"),
            })?
            .map_err(GateError::call(OPERATION))?;
        Ok(CallsGranted {
            of_second,
            second_wait: Duration::from_millis(wait),
            second_left,
            of_hour,
            hour_spent,
            hour_before,
            processes,
        })
    }

    /// The time that the counts go by.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    fn hour_key(&self, tenant: &str, at: DateTime<Utc>) -> String {
        format!("{}:{}", self.prefix, hour_name(tenant, at))
    }
}

const OPERATION: &str = "count calls";

/// `tenant:{id}:api_calls:{yyyy-mm-dd}:{hh}`: where the count of a clock hour is, behind the
/// installation's prefix.
pub(super) fn hour_name(tenant: &str, at: DateTime<Utc>) -> String {
    format!("tenant:{tenant}:api_calls:{}", at.format("%Y-%m-%d:%H"))
}

/// How far an instant is into its clock hour.
#[must_use]
pub fn into_hour(at: DateTime<Utc>) -> Duration {
    let seconds = u64::from(at.minute() * 60 + at.second());
    Duration::from_secs(seconds) + Duration::from_millis(u64::from(at.timestamp_subsec_millis()))
}

impl fmt::Debug for CallCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallCounts")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_an_hour_is_found_under_its_name() {
        let at: DateTime<Utc> = "2026-01-05T12:34:56.789Z".parse().unwrap();
        assert_eq!(
            hour_name("alpha", at),
            "tenant:alpha:api_calls:2026-01-05:12"
        );
        assert_eq!(
            into_hour(at),
            Duration::from_millis((34 * 60 + 56) * 1000 + 789)
        );
    }
}
