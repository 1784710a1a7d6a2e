//! Whether this process can do its work: each thing that it depends on is asked for an answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use futures::future::{BoxFuture, join_all};
use serde::Serialize;

type Probe = dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync;

/// A dependency that takes longer to answer does not answer.
const LIMIT: Duration = Duration::from_secs(2);

/// What a process depends on, by name. Clones share the list.
#[derive(Clone, Default)]
pub struct Readiness {
    checks: Arc<Vec<(&'static str, Box<Probe>)>>,
}

/// Whether a process can do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadinessStatus {
    /// All of its dependencies answer.
    Ready,
    /// One of them does not.
    NotReady,
}

/// What the dependencies answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadinessReport {
    /// `ready` if every check passed.
    pub status: ReadinessStatus,
    /// Each check by name: `ok`, or what is wrong.
    pub checks: BTreeMap<&'static str, String>,
}

impl Readiness {
    /// A process that depends on these. A check answers what is wrong, in words that may be shown to
    /// whoever reaches the port. It is asked anew for every request, for at most 2 s.
    #[must_use]
    pub fn new(checks: Vec<(&'static str, Box<Probe>)>) -> Self {
        Self {
            checks: Arc::new(checks),
        }
    }

    /// Asks all of them at once.
    pub async fn report(&self) -> ReadinessReport {
        let answers = join_all(self.checks.iter().map(|(name, probe)| async move {
            let problem = match tokio::time::timeout(LIMIT, probe()).await {
                Ok(Ok(())) => None,
                Ok(Err(problem)) => Some(problem),
                Err(_) => Some(format!("does not answer within {} s", LIMIT.as_secs())),
            };
            (*name, problem)
        }))
        .await;
        let all_well = answers.iter().all(|(_, problem)| problem.is_none());
        ReadinessReport {
            status: if all_well {
                ReadinessStatus::Ready
            } else {
                ReadinessStatus::NotReady
            },
            checks: answers
                .into_iter()
                .map(|(name, problem)| (name, problem.unwrap_or_else(|| "ok".to_owned())))
                .collect(),
        }
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.checks.iter().map(|(name, _)| name))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use serde_json::json;

    use super::*;

    fn body(report: &ReadinessReport) -> serde_json::Value {
        serde_json::to_value(report).unwrap()
    }

    #[tokio::test]
    async fn a_process_is_ready_when_everything_answers() {
        let readiness = Readiness::new(vec![("database", Box::new(|| async { Ok(()) }.boxed()))]);
        let expected = json!({"status": "ready", "checks": {"database": "ok"}});
        assert_eq!(body(&readiness.report().await), expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_dependency_that_does_not_answer_is_named() {
        let readiness = Readiness::new(vec![
            ("database", Box::new(|| async { Ok(()) }.boxed())),
            (
                "redis",
                Box::new(|| async { Err("connection refused".to_owned()) }.boxed()),
            ),
            ("cluster", Box::new(|| std::future::pending().boxed())),
        ]);
        let expected = json!({
            "status": "not_ready",
            "checks": {
                "cluster": "does not answer within 2 s",
                "database": "ok",
                "redis": "connection refused",
            },
        });
        assert_eq!(body(&readiness.report().await), expected);
    }
}
