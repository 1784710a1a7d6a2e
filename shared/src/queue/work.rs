//! What a worker asks of the gate.

use std::time::Duration;

use redis::AsyncCommands;

use super::{Gate, GateError, Offer, gate::millis};
use crate::ids::{JobId, TenantId, WorkerId};

/// A worker as a member of the queue that it consumes.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    /// The worker.
    pub worker: WorkerId,
    /// The queue.
    pub queue: &'a str,
    /// The kinds that it can run; names without a comma.
    pub kinds: &'a [&'static str],
}

/// A worker's sign of life.
#[derive(Debug)]
pub struct Beat<'a> {
    /// Who.
    pub member: Member<'a>,
    /// How many jobs it can hold at once; 0 = takes no more.
    pub capacity: u32,
    /// Jobs that it works on.
    pub claims: &'a [Offer],
}

/// Answer to a claim.
#[derive(Debug)]
pub struct Claims {
    /// The epoch under which the jobs were admitted; absent = the gate is closed.
    pub epoch: Option<i64>,
    /// The jobs that the worker may now claim in the database.
    pub admitted: Vec<(TenantId, JobId)>,
    /// Ids that were stale copies.
    pub refused: usize,
    /// Jobs of kinds that the worker cannot run; they went on to the next worker.
    pub passed_on: usize,
}

/// A job that came out of the ready queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyJob {
    /// The job.
    pub id: JobId,
    /// Whether it is the first of its entry, whose name it gives: the entry is forgotten with its claim.
    pub first: bool,
}

/// A job that a worker is done with.
#[derive(Debug, Clone, Copy)]
pub struct Settled {
    /// The job.
    pub id: JobId,
    /// How long it ran, which its tenant is charged for; absent = it did not.
    pub ran: Option<Duration>,
    /// Whether its row is queued again: then it waits where it stood before.
    pub waits_again: bool,
}

impl Gate {
    /// Takes fetched jobs for a worker, where their slot is live and nobody has them. A member without
    /// kinds passes them on to others.
    pub async fn claim(&self, member: &Member<'_>, jobs: &[ReadyJob]) -> Result<Claims, GateError> {
        const OPERATION: &str = "claim jobs";
        let entries: Vec<String> = jobs
            .iter()
            .filter(|job| job.first)
            .map(|job| job.id.to_string())
            .collect();
        let mut call = self.begin(&self.scripts.claim);
        call.arg(member.worker.to_string())
            .arg(member.queue)
            .arg(member.kinds.join(","))
            .arg(entries.join(","));
        for job in jobs {
            call.arg(job.id.to_string());
        }
        let answer: Vec<String> = self.invoke(OPERATION, &call).await?;
        let (epoch, tenants) = answer.split_first().ok_or_else(|| GateError::Answer {
            operation: OPERATION,
            detail: "it is empty".to_owned(),
        })?;
        let admitted: Vec<(TenantId, JobId)> = tenants
            .iter()
            .zip(jobs)
            .filter_map(|(tenant, job)| Some((TenantId::recall(tenant).ok()?, job.id)))
            .collect();
        let passed_on = tenants.iter().filter(|tenant| *tenant == "-").count();
        let refused = jobs.len() - admitted.len() - passed_on;
        Ok(Claims {
            epoch: epoch.parse().ok(),
            admitted,
            refused,
            passed_on,
        })
    }

    /// Frees the slots of jobs that `worker` is done with and admits the next. Answers how many slots
    /// were freed.
    pub async fn settle(&self, worker: WorkerId, jobs: &[Settled]) -> Result<usize, GateError> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let mut call = self.begin(&self.scripts.settle);
        call.arg(worker.to_string());
        for Settled {
            id,
            ran,
            waits_again,
        } in jobs
        {
            let mut text = ran.map_or_else(String::new, |time| millis(time).to_string());
            if *waits_again {
                text.push('w');
            }
            call.arg(id.to_string()).arg(text);
        }
        self.invoke("settle jobs", &call).await
    }

    /// Renews a worker's registration and the slots of its jobs. Answers the jobs that belong to
    /// another worker now.
    pub async fn beat(&self, beat: &Beat<'_>) -> Result<Vec<JobId>, GateError> {
        let mut call = self.begin(&self.scripts.beat);
        call.arg(beat.member.worker.to_string())
            .arg(beat.member.queue)
            .arg(beat.capacity)
            .arg(beat.member.kinds.join(","))
            .arg(millis(self.settings.lease));
        for claim in beat.claims {
            call.arg(claim.id.to_string()).arg(claim.info());
        }
        let lost: Vec<String> = self.invoke("renew leases", &call).await?;
        Ok(lost.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Takes a worker out of the fleet; ids that it fetched but never claimed wait again.
    pub async fn leave(&self, worker: WorkerId, queue: &str) -> Result<(), GateError> {
        let mut call = self.begin(&self.scripts.leave);
        call.arg(worker.to_string()).arg(queue);
        let _: i64 = self.invoke("leave the fleet", &call).await?;
        Ok(())
    }

    /// Makes room for the worker's name in the ready queue's own list, so that it can register
    /// again. Its claims stay; what it fetched and did not claim waits again.
    pub async fn rejoin(&self, worker: WorkerId, queue: &str) -> Result<(), GateError> {
        let mut call = self.begin(&self.scripts.rejoin);
        call.arg(worker.to_string()).arg(queue);
        let _: i64 = self.invoke("rejoin the ready queue", &call).await?;
        Ok(())
    }

    /// Tells the workers that a running job is to be ended. Whoever has it asks the record why; a
    /// message that is lost is made good by the next heartbeat.
    pub async fn cancel(&self, ids: &[JobId]) -> Result<(), GateError> {
        for id in ids {
            let _: i64 = self
                .connection
                .clone()
                .publish(self.key("cancel"), id.to_string())
                .await
                .map_err(GateError::call("tell a worker to end a job"))?;
        }
        Ok(())
    }
}
