//! What a worker asks of the gate.

use std::{sync::Arc, time::Duration};

use redis::AsyncCommands;

use super::{
    Gate, GateError, Line, Offer,
    gate::millis,
    line::{apart, list},
};
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
    /// How long ago the oldest of their slots was given: a lease counts from then, since a slot that was
    /// given a moment ago is not renewed.
    pub age: Duration,
    /// The jobs that the worker may now claim in the database.
    pub admitted: Vec<(TenantId, JobId)>,
    /// Ids that were stale copies.
    pub refused: usize,
    /// Jobs of kinds that the worker cannot run; they went on to the next worker.
    pub passed_on: usize,
}

/// A job that came out of the ready queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadyJob {
    /// Where it waited.
    pub line: Arc<Line>,
    /// The job.
    pub id: JobId,
    /// Whether it is the first of its entry, whose name it gives: the entry is forgotten with its claim.
    pub first: bool,
}

/// The jobs of an entry of the ready queue, as `lua/ready.lua` writes it; `None` if that is something
/// else.
#[must_use]
pub fn read_entry(queue: &str, entry: &[u8]) -> Option<Vec<ReadyJob>> {
    let text = std::str::from_utf8(entry).ok()?;
    let mut jobs = Vec::new();
    for line in text.trim_end().lines() {
        let mut parts = line.split('\t');
        let (tenant, kind, ids) = (parts.next()?, parts.next()?, parts.next()?);
        let line = Arc::new(Line {
            tenant_id: TenantId::recall(tenant).ok()?,
            queue: queue.to_owned(),
            kind: kind.to_owned(),
        });
        for id in ids.split(',') {
            jobs.push(ReadyJob {
                line: Arc::clone(&line),
                id: id.parse().ok()?,
                first: jobs.is_empty(),
            });
        }
    }
    (!jobs.is_empty()).then_some(jobs)
}

/// A job that a worker is done with.
#[derive(Debug, Clone)]
pub struct Settled {
    /// Where it waited.
    pub line: Arc<Line>,
    /// The job.
    pub id: JobId,
    /// How long it ran, which its tenant is charged for; absent = it did not.
    pub ran: Option<Duration>,
    /// Whether it has a resource key, or may have one: then whoever waits for the key comes next.
    pub keyed: bool,
    /// Whether its row is queued again: then it waits where it stood before.
    pub waits_again: bool,
}

impl Gate {
    /// Takes fetched jobs for a worker, where their slot is live and nobody has them. A member without
    /// kinds passes them on to others.
    pub async fn claim(&self, member: &Member<'_>, jobs: &[ReadyJob]) -> Result<Claims, GateError> {
        const OPERATION: &str = "claim jobs";
        let entries = list(jobs.iter().filter(|job| job.first).map(|job| job.id));
        let mut call = self.begin(&self.scripts.claim);
        call.arg(member.worker.to_string())
            .arg(member.queue)
            .arg(member.kinds.join(","))
            .arg(entries);
        let lines = apart(jobs, |job| &*job.line);
        for (line, jobs) in &lines {
            call.arg(line.tenant_id.as_str())
                .arg(&line.kind)
                .arg(list(jobs.iter().map(|job| job.id)));
        }
        let answer: Vec<String> = self.invoke(OPERATION, &call).await?;
        let [epoch, age, words @ ..] = answer.as_slice() else {
            return Err(GateError::Answer {
                operation: OPERATION,
                detail: format!("{} parts", answer.len()),
            });
        };
        let mut claims = Claims {
            epoch: epoch.parse().ok(),
            age: Duration::from_millis(age.parse().unwrap_or(0)),
            admitted: Vec::with_capacity(jobs.len()),
            refused: 0,
            passed_on: 0,
        };
        for ((line, jobs), word) in lines.iter().zip(words) {
            for (job, letter) in jobs.iter().zip(word.chars()) {
                match letter {
                    'y' => claims.admitted.push((line.tenant_id.clone(), job.id)),
                    'o' => claims.passed_on += 1,
                    _ => claims.refused += 1,
                }
            }
        }
        Ok(claims)
    }

    /// Frees the slots of jobs that `worker` is done with and admits the next. Answers how many slots
    /// were freed.
    pub async fn settle(&self, worker: WorkerId, jobs: &[Settled]) -> Result<usize, GateError> {
        if jobs.is_empty() {
            return Ok(0);
        }
        let mut call = self.begin(&self.scripts.settle);
        call.arg(worker.to_string());
        for (line, jobs) in apart(jobs, |job| &*job.line) {
            let ran: Vec<Duration> = jobs.iter().filter_map(|job| job.ran).collect();
            let ids = |keyed: bool, waits_again: bool| {
                let these = jobs.iter().filter(|job| job.waits_again == waits_again);
                list(
                    these
                        .filter(|job| waits_again || job.keyed == keyed)
                        .map(|job| job.id),
                )
            };
            call.arg(&line.queue)
                .arg(line.tenant_id.as_str())
                .arg(&line.kind)
                .arg(ran.len())
                .arg(millis(ran.iter().sum()))
                .arg(ids(false, false))
                .arg(ids(true, false))
                .arg(ids(true, true));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_its_jobs_line_by_line() {
        let ids = [JobId::new(), JobId::new(), JobId::new()];
        let entry = format!(
            "acme\tprobe\t{},{}\nbravo\tprobe\t{}",
            ids[0], ids[1], ids[2]
        );
        let jobs = read_entry("default", entry.as_bytes()).unwrap();
        let read: Vec<(&str, JobId, bool)> = jobs
            .iter()
            .map(|job| (job.line.tenant_id.as_str(), job.id, job.first))
            .collect();
        let expected = [
            ("acme", ids[0], true),
            ("acme", ids[1], false),
            ("bravo", ids[2], false),
        ];
        assert_eq!(read, expected);
        let padded = format!("platform\tprobe\t{}   ", ids[0]);
        assert_eq!(read_entry("default", padded.as_bytes()).unwrap().len(), 1);
    }

    #[test]
    fn what_is_no_entry_of_ours_is_not_read() {
        let id = JobId::new();
        for entry in [
            String::new(),
            id.to_string(),
            format!("acme\t{id}"),
            format!("Acme\tprobe\t{id}"),
            "acme\tprobe\t".to_owned(),
            format!("acme\tprobe\t{id},x"),
        ] {
            assert_eq!(read_entry("default", entry.as_bytes()), None, "{entry:?}");
        }
        assert_eq!(read_entry("default", &[0xff]), None);
    }
}
