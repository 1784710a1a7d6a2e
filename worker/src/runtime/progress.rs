//! How far a job is, as its handler reports it: at most a few times a second reach the record.
//!
//! Reports of all jobs that are made while one batch is written go into the next, so a worker with
//! many talkative jobs writes a few statements and locks a tenant's counter of events a few times.

use std::{
    num::NonZeroUsize,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::oneshot, time::Instant};
use unity_shared::{
    batch::{BatchLimits, Batcher, by_tenant},
    clock::Clock,
    db::{Database, DbError},
    ids::{JobId, TenantId},
    jobs::{JobProgress, LeaseKey, Report, record_progress},
    queue::Gate,
    telemetry::chain,
};

/// Reports between two that are written are dropped, except the first that says 100 percent.
const INTERVAL: Duration = Duration::from_millis(200);
/// Longest message, in characters: a line on somebody's screen, not a log.
const MESSAGE_CHARACTERS: usize = 500;
/// One call at a time: a later report must not overtake an earlier one.
const LIMITS: BatchLimits = BatchLimits {
    items: 500,
    calls: NonZeroUsize::MIN,
};

/// Writes the reports of a worker's jobs.
#[derive(Debug, Clone)]
pub(super) struct Recorder {
    pub database: Database,
    pub gate: Gate,
    pub clock: Clock,
}

impl Recorder {
    /// The queue in front of it.
    pub(super) fn start(self) -> Batcher<Report, ()> {
        let teller = self.teller();
        Batcher::start(LIMITS, move |reports: Vec<Report>| {
            let (recorder, teller) = (self.clone(), teller.clone());
            async move {
                let answers = vec![(); reports.len()];
                match recorder.record_apart(latest(reports)).await {
                    Ok(told) => {
                        for job in told {
                            drop(teller.send(job));
                        }
                    }
                    // Progress is a courtesy: the job goes on without.
                    Err(error) => {
                        tracing::debug!(error = chain(&error), "could not record progress");
                    }
                }
                answers
            }
        })
    }

    /// Redis may be slow or away, and no report waits for it.
    fn teller(&self) -> Batcher<(TenantId, JobId), ()> {
        let gate = self.gate.clone();
        Batcher::start(LIMITS, move |jobs: Vec<(TenantId, JobId)>| {
            let gate = gate.clone();
            async move {
                if let Err(error) = gate.tell(&jobs).await {
                    tracing::debug!(error = chain(&error), "could not tell of progress");
                }
                vec![(); jobs.len()]
            }
        })
    }

    /// All at once, or tenant by tenant if one of them stands in the way.
    async fn record_apart(&self, reports: Vec<Report>) -> Result<Vec<(TenantId, JobId)>, DbError> {
        let all = match self.record(&reports).await {
            Err(error) if error.may_be_one_rows() => error,
            answer => return answer,
        };
        let tenants = by_tenant(reports, |report| &report.lease.tenant_id);
        if tenants.len() < 2 {
            return Err(all);
        }
        let each = tenants.values().map(|own| self.record(own));
        let told = futures::future::join_all(each).await;
        Ok(told.into_iter().flatten().flatten().collect())
    }

    async fn record(&self, reports: &[Report]) -> Result<Vec<(TenantId, JobId)>, DbError> {
        let mut tx = self.database.engine().statement().await?;
        let counted = record_progress(&mut tx, reports, self.clock.now()).await?;
        let leases = reports.iter().map(|report| &report.lease);
        Ok(leases
            .filter(|lease| counted.contains(&lease.id))
            .map(|lease| (lease.tenant_id.clone(), lease.id))
            .collect())
    }
}

/// The last report of each attempt.
fn latest(reports: Vec<Report>) -> Vec<Report> {
    let mut kept: Vec<Report> = Vec::with_capacity(reports.len());
    for report in reports {
        match kept.iter_mut().find(|other| other.lease == report.lease) {
            Some(earlier) => *earlier = report,
            None => kept.push(report),
        }
    }
    kept
}

/// Writes a job's progress. Clones report for the same attempt.
#[derive(Debug, Clone)]
pub struct ProgressReporter {
    reports: Batcher<Report, ()>,
    lease: Arc<LeaseKey>,
    said: Arc<Mutex<Said>>,
}

/// What was said last.
#[derive(Debug, Default)]
struct Said {
    at: Option<Instant>,
    percent: u8,
    /// Comes when it is written.
    written: Option<oneshot::Receiver<()>>,
}

impl ProgressReporter {
    pub(super) fn new(reports: Batcher<Report, ()>, lease: LeaseKey) -> Self {
        Self {
            reports,
            lease: Arc::new(lease),
            said: Arc::default(),
        }
    }

    /// Reports `percent` (0 to 100) and what is being done, and waits for the write. A report that
    /// cannot be written is dropped: progress is a courtesy, the job goes on.
    pub async fn report(&self, percent: u8, message: &str) {
        self.report_soon(percent, message);
        self.flush().await;
    }

    /// Like [`ProgressReporter::report`], for callers that cannot wait. It is written before the
    /// attempt's end is, if the handler ends by itself.
    pub fn report_soon(&self, percent: u8, message: &str) {
        let percent = percent.min(100);
        let mut said = self.said();
        if !said.is_due(percent) {
            return;
        }
        let report = Report {
            lease: (*self.lease).clone(),
            progress: JobProgress {
                percent,
                message: storable(message),
            },
        };
        *said = Said {
            at: Some(Instant::now()),
            percent,
            written: Some(self.reports.send(report)),
        };
    }

    /// Waits until what was said last is written or given up.
    pub(super) async fn flush(&self) {
        let written = self.said().written.take();
        if let Some(written) = written {
            let _ = written.await;
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn is_due(&self, percent: u8) -> bool {
        let done = percent == 100 && self.percent < 100;
        done || self.at.is_none_or(|at| at.elapsed() >= INTERVAL)
    }
}

/// PostgreSQL stores no NUL, and a batch with one would be refused as a whole.
fn storable(message: &str) -> String {
    message
        .chars()
        .take(MESSAGE_CHARACTERS)
        .map(|c| if c == '\0' { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn lease() -> LeaseKey {
        LeaseKey {
            tenant_id: TenantId::parse("acme").unwrap(),
            id: JobId::new(),
            fence: 1,
        }
    }

    /// A reporter, and the percentages that reached its queue.
    fn reporter() -> (ProgressReporter, mpsc::Receiver<u8>) {
        let (sender, received) = mpsc::channel();
        let reports = Batcher::start(LIMITS, move |reports: Vec<Report>| {
            for report in &reports {
                sender.send(report.progress.percent).unwrap();
            }
            async move { vec![(); reports.len()] }
        });
        (ProgressReporter::new(reports, lease()), received)
    }

    #[tokio::test(start_paused = true)]
    async fn reports_are_limited_but_the_first_hundred_percent_is_written_at_once() {
        let (reporter, received) = reporter();
        for percent in [1, 2, 3, 100, 100, 255] {
            reporter.report(percent, "soon").await;
        }
        assert_eq!(received.try_iter().collect::<Vec<_>>(), [1, 100]);
        tokio::time::advance(INTERVAL).await;
        reporter.report(40, "again").await;
        reporter.report(41, "again").await;
        assert_eq!(received.try_iter().collect::<Vec<_>>(), [40]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_said_last_is_written_when_flush_returns() {
        let (reporter, received) = reporter();
        reporter.report_soon(1, "begun");
        reporter.report_soon(100, "done");
        reporter.flush().await;
        assert_eq!(received.try_iter().collect::<Vec<_>>(), [1, 100]);
    }

    #[test]
    fn of_two_reports_of_an_attempt_in_one_batch_the_later_counts() {
        let (first, second) = (lease(), lease());
        let report = |lease: &LeaseKey, percent| Report {
            lease: lease.clone(),
            progress: JobProgress {
                percent,
                message: String::new(),
            },
        };
        let kept = latest(vec![
            report(&first, 1),
            report(&second, 2),
            report(&first, 3),
        ]);
        let kept: Vec<u8> = kept.iter().map(|report| report.progress.percent).collect();
        assert_eq!(kept, [3, 2]);
    }

    #[test]
    fn a_message_is_cut_to_what_can_be_stored_and_shown() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable(&"ü".repeat(501)).chars().count(), 500);
    }
}
