//! How far a job is, as its handler reports it: at most a few times a second reach the record.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use unity_shared::{
    db::{Database, DbError},
    jobs::{JobProgress, LeaseKey, record_progress},
    telemetry::chain,
};

/// Reports between two that are written are dropped, except the one that says 100 percent.
const INTERVAL: Duration = Duration::from_millis(200);

/// Writes a job's progress. Clones report for the same attempt.
#[derive(Debug, Clone)]
pub struct ProgressReporter {
    database: Database,
    lease: Arc<LeaseKey>,
    written_at: Arc<Mutex<Option<Instant>>>,
}

impl ProgressReporter {
    pub(super) fn new(database: Database, lease: LeaseKey) -> Self {
        Self {
            database,
            lease: Arc::new(lease),
            written_at: Arc::default(),
        }
    }

    /// Reports `percent` (0 to 100) and what is being done, and waits for the write. A report that
    /// cannot be written is dropped: progress is a courtesy, the job goes on.
    pub async fn report(&self, percent: u8, message: &str) {
        if !self.due(percent) {
            return;
        }
        let progress = JobProgress {
            percent: percent.min(100),
            message: message.to_owned(),
        };
        if let Err(error) = self.write(&progress).await {
            tracing::debug!(error = chain(&error), "could not record progress");
        }
    }

    /// Like [`ProgressReporter::report`], for callers that cannot wait.
    pub fn report_soon(&self, percent: u8, message: &str) {
        let (reporter, message) = (self.clone(), message.to_owned());
        tokio::spawn(async move { reporter.report(percent, &message).await });
    }

    fn due(&self, percent: u8) -> bool {
        let mut written_at = self
            .written_at
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let due = percent >= 100 || written_at.is_none_or(|at| at.elapsed() >= INTERVAL);
        if due {
            *written_at = Some(Instant::now());
        }
        due
    }

    async fn write(&self, progress: &JobProgress) -> Result<(), DbError> {
        let mut tx = self.database.engine().statement().await?;
        record_progress(&mut tx, &self.lease, progress).await?;
        Ok(())
    }
}
