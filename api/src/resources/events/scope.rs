//! Whose events are read, and from where.

use unity_shared::{
    events::{self, EventPage},
    ids::{JobId, TenantId},
};

use crate::{error::ApiError, news::Subject, state::ApiState};

/// All events of a tenant, or those of one of its jobs.
#[derive(Debug, Clone)]
pub struct Scope {
    /// Whose sequence it is.
    pub tenant: TenantId,
    /// Only this job's; absent = all.
    pub job: Option<JobId>,
}

/// What one look has found.
#[derive(Debug)]
pub struct Found {
    /// Events, and the bounds of the sequence.
    pub page: EventPage,
    /// Whether nothing will follow, as far as this scope goes.
    pub ended: bool,
}

impl Scope {
    /// Events after number `after`. The connection is given back before this returns.
    pub async fn read(&self, state: &ApiState, after: i64, limit: i64) -> Result<Found, ApiError> {
        let mut tx = state.database().tenant(&self.tenant).await?;
        match self.job {
            None => {
                let page = events::list_events(&mut tx, after, limit).await?;
                Ok(Found { page, ended: false })
            }
            Some(job) => {
                let found = events::list_job_events(&mut tx, job, after, limit).await?;
                let events::JobEventPage { page, ended } = found.ok_or(ApiError::NotFound)?;
                Ok(Found { page, ended })
            }
        }
    }

    /// The number that reading begins after, for a reader that has none: a tenant's life has no
    /// beginning that would be of interest, a job's has.
    pub const fn beginning(&self, page: &EventPage) -> i64 {
        match self.job {
            None => page.latest_id,
            Some(_) => page.oldest_id - 1,
        }
    }

    /// What news to wait for.
    pub fn subject(&self) -> Subject {
        match self.job {
            None => Subject::Tenant(self.tenant.clone()),
            Some(job) => Subject::Job(job),
        }
    }
}
