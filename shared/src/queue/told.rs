//! Says that a job has news: an event of it was committed.
//!
//! `lua/settle.lua` says so for attempts that end; whoever else writes an event calls
//! [`Gate::tell`]. A message only wakes those who wait; what they then read is in the record.

use super::{Gate, GateError};
use crate::ids::{JobId, TenantId};

/// A line of a message: there is news of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Whose job it is; absent where the gate did not know the job any more.
    pub tenant: Option<TenantId>,
    /// The job.
    pub job: JobId,
}

impl Told {
    /// Reads a message, `tenant \t job` on each line. What is not ours is passed over.
    pub fn read(message: &str) -> impl Iterator<Item = Self> {
        message.lines().filter_map(Self::read_line)
    }

    fn read_line(line: &str) -> Option<Self> {
        let (tenant, job) = line.split_once('\t')?;
        let tenant = match tenant {
            "" => None,
            known => Some(TenantId::parse(known).ok()?),
        };
        let job = job.parse().ok()?;
        Some(Self { tenant, job })
    }
}

impl Gate {
    /// Wakes those who wait for news of these jobs or of their tenants. Call it after the commit. A
    /// message that is lost costs them a look at their slow beat.
    pub async fn tell(&self, jobs: &[(TenantId, JobId)]) -> Result<(), GateError> {
        if jobs.is_empty() {
            return Ok(());
        }
        let lines: Vec<String> = jobs
            .iter()
            .map(|(tenant, job)| format!("{tenant}\t{job}"))
            .collect();
        redis::cmd("PUBLISH")
            .arg(self.news_channel())
            .arg(lines.join("\n"))
            .exec_async(&mut self.connection())
            .await
            .map_err(|source| GateError::Call {
                operation: "tell of jobs",
                source,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_jobs_and_where_it_is_known_the_tenant() {
        let job = JobId::new();
        let tenant = Some(TenantId::parse("acme").unwrap());
        let message = format!("acme\t{job}\ngarbage\n\t{job}\nAcme\t{job}\nacme\tx\n\n");
        let read: Vec<Told> = Told::read(&message).collect();
        assert_eq!(read, [Told { tenant, job }, Told { tenant: None, job }]);
        assert_eq!(Told::read("").count(), 0);
    }
}
