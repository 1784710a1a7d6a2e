//! Jobs that somebody ordered, on their way into the record.

use std::{collections::HashSet, fmt, sync::Arc};

use chrono::{DateTime, Utc};
use unity_shared::{
    audit::Author,
    db::DbError,
    ids::{JobId, TenantId},
    jobs::NewJob,
    tenancy::RecordedAnswer,
};

use super::waiting_cap::Places;
use crate::error::ApiError;

/// Jobs on their way into the record: all of them or none.
#[derive(Debug)]
pub struct Order {
    /// Whose jobs they are.
    pub tenant: TenantId,
    /// One at least. Where there are several, they are of one kind, so that whatever leaves one of them out of a
    /// statement leaves out all, and that kind supersedes nothing.
    pub jobs: Arc<[NewJob]>,
    /// Who ordered them.
    pub author: Arc<Author>,
    /// Their places below the cap. Where there are several jobs or a key, it is far.
    pub places: Places,
    /// The answer that a repetition gets; absent if the caller gave no key.
    pub keep: Option<Keep>,
}

/// An answer to keep.
pub struct Keep {
    /// The caller's name for the request.
    pub key: String,
    /// What it is, if the jobs are written at this instant.
    pub answer: Box<dyn Fn(DateTime<Utc>) -> RecordedAnswer + Send + Sync>,
}

impl fmt::Debug for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keep")
            .field("key", &self.key)
            .finish_non_exhaustive()
    }
}

impl Order {
    /// Most jobs of an order. More fill a statement by themselves.
    pub const MOST_JOBS: usize = 200;

    pub(super) fn is_lone(&self) -> bool {
        self.jobs.len() == 1
    }

    pub(super) fn is_written(&self, written: &HashSet<JobId>) -> bool {
        self.jobs.iter().all(|job| written.contains(&job.id))
    }

    pub(super) fn key(&self) -> Option<(&TenantId, &str)> {
        Some((&self.tenant, self.keep.as_ref()?.key.as_str()))
    }
}

/// What became of an order.
#[derive(Debug)]
pub enum Fate {
    /// Its jobs were written, at this instant.
    At(DateTime<Utc>),
    /// They were not, because the tenant is not active or the scope of one of them is drained.
    LeftOut,
    /// They were not, because as many jobs wait as may.
    Full(ApiError),
    /// They were not, because another request has the key, or had it before.
    Repeated,
}

/// The fate, or why the statement failed.
pub type Outcome = Result<Fate, Arc<DbError>>;
