//! Says that a job has news: an event of it was committed.
//!
//! `lua/settle.lua` says so for attempts that end; whoever else writes an event calls
//! [`Gate::tell`]. A message only wakes those who wait; what they then read is in the record.

use redis::AsyncCommands;

use super::{Gate, GateError};
use crate::ids::{JobId, TenantId};

/// Jobs in one message.
const TOLD_AT_ONCE: usize = 500;

/// A message: there is news of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose job it is; absent where the gate did not know the job any more.
    pub tenant: Option<TenantId>,
    /// The job.
    pub job: JobId,
}

impl Told {
    /// Reads a message, which has a line for each job. A line that is not one of ours is left out.
    pub fn read_all(message: &str) -> impl Iterator<Item = Self> {
        message.lines().filter_map(Self::read)
    }

    fn read(line: &str) -> Option<Self> {
        let (tenant, job) = line.split_once('\t')?;
        let tenant = match tenant {
            "" => None,
            known => Some(TenantId::recall(known).ok()?),
        };
        let job = job.parse().ok()?;
        Some(Self { tenant, job })
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
            let lines: Vec<String> = some
                .iter()
                .map(|(tenant, job)| format!("{tenant}\t{job}"))
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
    fn a_message_names_the_job_and_where_it_is_known_the_tenant() {
        let job = JobId::new();
        let tenant = Some(TenantId::parse("acme").unwrap());
        let known = format!("acme\t{job}");
        assert_eq!(Told::read(&known), Some(Told { tenant, job }));
        let unknown = format!("\t{job}");
        assert_eq!(Told::read(&unknown), Some(Told { tenant: None, job }));
        assert_eq!(Told::read_all(&format!("{known}\n{unknown}")).count(), 2);
        for garbage in ["", "acme", "acme\tx", "acme\t", "Acme\tx"] {
            assert_eq!(Told::read(garbage), None, "{garbage:?}");
        }
    }
}
