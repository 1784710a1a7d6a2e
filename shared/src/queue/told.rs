//! Says that a job has news: an event of it was committed.
//!
//! `lua/settle.lua` says so for attempts that end; whoever else writes an event calls
//! [`Gate::tell`]. A message only wakes those who wait; what they then read is in the record.

use redis::AsyncCommands;

use super::{
    Gate, GateError,
    line::{apart, list},
};
use crate::ids::{JobId, TenantId};

/// Jobs in one message.
const TOLD_AT_ONCE: usize = 500;

/// A message: there is news of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose job it is.
    pub tenant: TenantId,
    /// The job.
    pub job: JobId,
}

impl Told {
    /// Reads a message: lines of a tenant and its jobs. What is not one of ours is left out.
    pub fn read_all(message: &str) -> impl Iterator<Item = Self> {
        message.lines().flat_map(Self::read)
    }

    fn read(line: &str) -> impl Iterator<Item = Self> {
        let parts = line.split_once('\t');
        let parts = parts.and_then(|(tenant, ids)| Some((TenantId::recall(tenant).ok()?, ids)));
        parts.into_iter().flat_map(|(tenant, ids)| {
            let jobs = ids.split(',').filter_map(|id| id.parse().ok());
            jobs.map(move |job| Self {
                tenant: tenant.clone(),
                job,
            })
        })
    }
}

impl Gate {
    /// Wakes those who wait for news of these jobs or of their tenants. Call it after the commit. A
    /// message that is lost costs them a look at their slow beat.
    pub async fn tell(&self, jobs: &[(TenantId, JobId)]) -> Result<(), GateError> {
        self.publish_news(jobs.iter().map(|(tenant, job)| (tenant, job)).collect())
            .await
    }

    /// The same of many jobs of one tenant.
    pub async fn tell_of(&self, tenant: &TenantId, jobs: &[JobId]) -> Result<(), GateError> {
        self.publish_news(jobs.iter().map(|job| (tenant, job)).collect())
            .await
    }

    async fn publish_news(&self, jobs: Vec<(&TenantId, &JobId)>) -> Result<(), GateError> {
        for some in jobs.chunks(TOLD_AT_ONCE) {
            let lines: Vec<String> = apart(some, |(tenant, _)| *tenant)
                .iter()
                .map(|(tenant, jobs)| {
                    format!("{tenant}\t{}", list(jobs.iter().map(|(_, job)| job)))
                })
                .collect();
            let _: i64 = self
                .connection
                .clone()
                .publish(self.key("told"), lines.join("\n"))
                .await
                .map_err(GateError::call("tell of jobs"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_jobs_and_whose_they_are() {
        let (tenant, jobs) = (
            TenantId::parse("acme").unwrap(),
            [JobId::new(), JobId::new()],
        );
        let told = jobs.map(|job| Told {
            tenant: tenant.clone(),
            job,
        });
        let line = format!("acme\t{},{}", jobs[0], jobs[1]);
        assert_eq!(Told::read(&line).collect::<Vec<_>>(), told);
        let message = format!("{line}\nbravo\t{}\ngarbage", jobs[0]);
        assert_eq!(Told::read_all(&message).count(), 3);
        for garbage in ["", "acme", "acme\tx", "acme\t", "Acme\tx"] {
            assert_eq!(Told::read(garbage).count(), 0, "{garbage:?}");
        }
        let half = format!("acme\tx,{}", jobs[1]);
        assert_eq!(Told::read(&half).count(), 1);
    }
}
