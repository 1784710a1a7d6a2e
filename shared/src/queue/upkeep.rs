//! What keeps the gate in step with the rows.

use std::time::Duration;

use super::{Gate, GateError, Offer, Running, line::apart};
use crate::ids::{JobId, TenantId};

/// Ids in one call: a script runs alone, so none may take long.
const MOST: usize = 1000;
/// The same where each may be of another tenant, whose turn is looked at too.
const MOST_RESTORED: usize = 500;

const REAP: &str = "reap expired leases";

impl Gate {
    /// Takes queued jobs into the waiting lists and admits what may run. A job that the gate knows
    /// already is left as it is. Answers how many were new.
    pub async fn offer(&self, offers: &[Offer]) -> Result<usize, GateError> {
        let mut taken = 0;
        for some in offers.chunks(MOST) {
            let mut call = self.begin(&self.scripts.offer);
            let lines = apart(some, |offer| {
                (&offer.tenant_id, offer.queue.as_str(), offer.kind.as_str())
            });
            for ((tenant, queue, kind), jobs) in lines {
                call.arg(queue)
                    .arg(tenant.as_str())
                    .arg(kind)
                    .arg(jobs.len());
                for job in jobs {
                    call.arg(job.id.to_string())
                        .arg(job.score())
                        .arg(job.info());
                }
            }
            let new: usize = self.invoke("offer jobs", &call).await?;
            taken += new;
        }
        Ok(taken)
    }

    /// Takes jobs out that are not to be run any more. One that a worker has claimed stays until its
    /// worker settles it. Answers how many were taken out.
    pub async fn forget(&self, ids: &[JobId]) -> Result<usize, GateError> {
        let mut forgotten = 0;
        for some in ids.chunks(MOST) {
            let mut call = self.begin(&self.scripts.forget);
            for id in some {
                call.arg(id.to_string());
            }
            let gone: usize = self.invoke("forget jobs", &call).await?;
            forgotten += gone;
        }
        Ok(forgotten)
    }

    /// Forgets a tenant whose jobs were all forgotten before; false = some still hold a slot, and nothing
    /// was done. Where calls are counted goes too.
    pub async fn forget_tenant(&self, tenant: &TenantId) -> Result<bool, GateError> {
        let mut call = self.begin(&self.scripts.forget_tenant);
        call.arg(tenant.as_str());
        let held: i64 = self.invoke("forget a tenant", &call).await?;
        if held > 0 {
            return Ok(false);
        }
        self.drop_keys_of(tenant).await?;
        Ok(true)
    }

    /// Drops the keys behind `tenant:{id}:`. The alphabet of a slug has no character that a pattern would
    /// read, and the colon ends it.
    async fn drop_keys_of(&self, tenant: &TenantId) -> Result<(), GateError> {
        let pattern = format!("{}:tenant:{tenant}:*", self.settings.prefix);
        let mut cursor = 0_u64;
        loop {
            let (next, keys): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(&pattern)
                .arg("COUNT")
                .arg(MOST)
                .query_async(&mut self.connection.clone())
                .await
                .map_err(GateError::call("look for a tenant's keys"))?;
            if !keys.is_empty() {
                redis::cmd("UNLINK")
                    .arg(&keys)
                    .exec_async(&mut self.connection.clone())
                    .await
                    .map_err(GateError::call("drop a tenant's keys"))?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Frees slots and registrations that nobody renewed. Answers how many slots were freed, and
    /// whether there is more to be done at once: what one script may do is bounded.
    pub async fn reap(&self, queues: &[&str]) -> Result<(usize, bool), GateError> {
        let mut call = self.begin(&self.scripts.reap);
        call.arg("").arg(0).arg(queues);
        let (_, freed, more): (bool, usize, bool) = self.invoke(REAP, &call).await?;
        Ok((freed, more))
    }

    /// The same in a gate that was opened under `epoch`, on the Redis that answers, and in which no slot
    /// ends within `soon`. Otherwise nothing is done and nothing answered: the rows are to be asked first.
    pub async fn reap_if_sound(
        &self,
        queues: &[&str],
        epoch: i64,
        soon: Duration,
    ) -> Result<Option<(usize, bool)>, GateError> {
        let until = self.clock.now() + soon;
        let mut call = self.begin(&self.scripts.reap);
        call.arg(epoch).arg(until.timestamp_millis()).arg(queues);
        let (sound, freed, more): (bool, usize, bool) = self.invoke(REAP, &call).await?;
        Ok(sound.then_some((freed, more)))
    }

    /// Slots of `queue` that end within `soon` unless somebody renews them, at most 1000, without the
    /// first `passed_over`.
    pub async fn expiring(
        &self,
        queue: &str,
        soon: Duration,
        passed_over: usize,
    ) -> Result<Vec<JobId>, GateError> {
        let until = self.clock.now() + soon;
        let mut call = self.begin(&self.scripts.expiring);
        call.arg(queue)
            .arg(until.timestamp_millis())
            .arg(MOST)
            .arg(passed_over);
        let ids: Vec<String> = self.invoke("look for expiring slots", &call).await?;
        Ok(parse_ids(&ids))
    }

    /// Extends slots whose jobs still run by their rows, and gives back one that was lost. Never
    /// shortens one. Answers the jobs of which something was missing.
    pub async fn extend(&self, running: &[Running]) -> Result<Vec<JobId>, GateError> {
        self.count_running("extend slots", true, running).await
    }

    /// Which of these running jobs the gate does not count in full: it has no live slot, or does not
    /// know them.
    pub async fn uncounted(&self, running: &[Running]) -> Result<Vec<JobId>, GateError> {
        self.count_running("look slots up", false, running).await
    }

    async fn count_running(
        &self,
        operation: &'static str,
        mend: bool,
        running: &[Running],
    ) -> Result<Vec<JobId>, GateError> {
        let mut found = Vec::new();
        for some in running.chunks(MOST) {
            let mut call = self.begin(&self.scripts.extend);
            call.arg(u8::from(mend));
            for job in some {
                call.arg(job.offer.id.to_string())
                    .arg(job.offer.info())
                    .arg(job.worker_id.to_string())
                    .arg(job.lease_expires_at.timestamp_millis());
            }
            let ids: Vec<String> = self.invoke(operation, &call).await?;
            found.extend(parse_ids(&ids));
        }
        Ok(found)
    }

    /// Which of these queued jobs the gate does not know, or knows and has no place for: nobody would
    /// run them.
    pub async fn forgotten(&self, queued: &[Offer]) -> Result<Vec<JobId>, GateError> {
        self.place_queued("look jobs up", false, queued).await
    }

    /// The same, and gives each its place. Tenants with waiting jobs take their turns again.
    pub async fn restore(&self, queued: &[Offer]) -> Result<Vec<JobId>, GateError> {
        self.place_queued("restore jobs", true, queued).await
    }

    async fn place_queued(
        &self,
        operation: &'static str,
        mend: bool,
        queued: &[Offer],
    ) -> Result<Vec<JobId>, GateError> {
        let mut found = Vec::new();
        for some in queued.chunks(MOST_RESTORED) {
            let mut call = self.begin(&self.scripts.restore);
            call.arg(u8::from(mend));
            for offer in some {
                call.arg(offer.id.to_string()).arg(offer.info());
            }
            let ids: Vec<String> = self.invoke(operation, &call).await?;
            found.extend(parse_ids(&ids));
        }
        Ok(found)
    }

    /// Jobs that the gate knows, some at a time, in no order: `cursor` is 0 at first and then what
    /// the call before answered, until it answers 0. A job may come twice.
    pub async fn known(&self, cursor: u64) -> Result<(u64, Vec<(TenantId, JobId)>), GateError> {
        let (next, fields): (u64, Vec<(String, String)>) = redis::cmd("HSCAN")
            .arg(self.key("jobs"))
            .arg(cursor)
            .arg("COUNT")
            .arg(MOST)
            .query_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("list known jobs"))?;
        let known = fields.iter().filter_map(|(id, info)| {
            let (tenant, _) = info.split_once('\t')?;
            Some((TenantId::recall(tenant).ok()?, id.parse().ok()?))
        });
        Ok((next, known.collect()))
    }
}

fn parse_ids(texts: &[String]) -> Vec<JobId> {
    texts.iter().filter_map(|id| id.parse().ok()).collect()
}
