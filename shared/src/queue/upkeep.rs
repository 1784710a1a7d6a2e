//! What keeps the gate in step with the rows.

use std::time::Duration;

use redis::AsyncCommands;

use super::{Gate, GateError, Offer, Running};
use crate::ids::{JobId, TenantId};

/// Ids in one call: a script runs alone, so none may take long.
const MOST: usize = 1000;

impl Gate {
    /// Takes queued jobs into the waiting lists and admits what may run. A job that the gate knows
    /// already is left as it is. Answers how many were new.
    pub async fn offer(&self, offers: &[Offer]) -> Result<usize, GateError> {
        let mut taken = 0;
        for some in offers.chunks(MOST) {
            let mut call = self.begin(&self.scripts.offer);
            for offer in some {
                call.arg(offer.id.to_string()).arg(offer.info());
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
                let _: i64 = self
                    .connection
                    .clone()
                    .unlink(keys)
                    .await
                    .map_err(GateError::call("drop a tenant's keys"))?;
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }

    /// Frees slots and registrations that nobody renewed. Answers how many slots were freed.
    pub async fn reap(&self, queues: &[&str]) -> Result<usize, GateError> {
        let mut call = self.begin(&self.scripts.reap);
        for queue in queues {
            call.arg(queue);
        }
        self.invoke("reap expired leases", &call).await
    }

    /// Slots of `queue` that end within `soon` unless somebody renews them, at most 1000.
    pub async fn expiring(&self, queue: &str, soon: Duration) -> Result<Vec<JobId>, GateError> {
        let until = self.clock.now() + soon;
        let mut call = self.begin(&self.scripts.expiring);
        call.arg(queue).arg(until.timestamp_millis()).arg(MOST);
        let ids: Vec<String> = self.invoke("look for expiring slots", &call).await?;
        Ok(ids.iter().filter_map(|id| id.parse().ok()).collect())
    }

    /// Extends slots whose jobs still run by their rows. Never shortens one.
    pub async fn extend(&self, running: &[Running]) -> Result<(), GateError> {
        if running.is_empty() {
            return Ok(());
        }
        let mut call = self.begin(&self.scripts.extend);
        for job in running {
            call.arg(job.offer.id.to_string())
                .arg(job.lease_expires_at.timestamp_millis());
        }
        let _: i64 = self.invoke("extend slots", &call).await?;
        Ok(())
    }

    /// Which of these jobs the gate does not know.
    pub async fn unknown(&self, ids: &[JobId]) -> Result<Vec<JobId>, GateError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut command = redis::cmd("HMGET");
        command.arg(self.key("jobs"));
        for id in ids {
            command.arg(id.to_string());
        }
        let known: Vec<Option<String>> = command
            .query_async(&mut self.connection.clone())
            .await
            .map_err(GateError::call("look jobs up"))?;
        Ok(ids
            .iter()
            .zip(known)
            .filter(|(_, text)| text.is_none())
            .map(|(id, _)| *id)
            .collect())
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

    /// Closes admission until [`Gate::open`].
    pub(super) async fn close(&self) -> Result<(), GateError> {
        self.connection
            .clone()
            .del(self.key("epoch"))
            .await
            .map_err(GateError::call("close admission"))
    }

    /// Writes the slots of running jobs back; with an epoch, opens admission.
    pub(super) async fn open(
        &self,
        epoch: Option<i64>,
        running: &[Running],
    ) -> Result<(), GateError> {
        let mut call = self.begin(&self.scripts.open);
        call.arg(epoch.map(|epoch| epoch.to_string()).unwrap_or_default());
        for job in running {
            call.arg(job.offer.id.to_string())
                .arg(job.offer.info())
                .arg(job.worker_id.to_string())
                .arg(job.lease_expires_at.timestamp_millis());
        }
        let _: i64 = self.invoke("open admission", &call).await?;
        Ok(())
    }
}
