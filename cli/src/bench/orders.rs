//! Orders for probes: one by one, or in batches where the API takes them.

use anyhow::Result;
use serde_json::{Value, json};
use unity_shared::jobs::{JobKind as _, kinds::Probe};

use super::{
    http::{Connection, Request},
    load::{Load, deal},
    stack::Stack,
    tenants::Tenant,
};

/// What an order is answered with.
pub(super) const TAKEN: u16 = 202;
/// The most jobs in one request here; the API itself takes more.
pub(super) const BATCH: usize = 100;

/// Where jobs are ordered.
pub(super) const JOBS: &str = "/api/v1/jobs";
const BATCHES: &str = "/api/v1/jobs:batch";

/// What a job of a user may carry; nothing is done with it.
pub(super) fn no_op() -> Value {
    json!({ "echo": { "to": "someone@example.org", "n": 42 } })
}

/// A job that takes this long.
pub(super) fn sleeping(milliseconds: u32) -> Value {
    json!({ "sleep_ms": milliseconds })
}

/// The order for one probe.
pub(super) fn order(tenant: &Tenant, payload: &Value) -> Request {
    Request::send_json("POST", JOBS, &tenant.key, &job(payload))
}

/// The order for `count` probes at once.
pub(super) fn batch_order(tenant: &Tenant, payload: &Value, count: usize) -> Request {
    let body = json!({ "jobs": vec![job(payload); count] });
    Request::send_json("POST", BATCHES, &tenant.key, &body)
}

fn job(payload: &Value) -> Value {
    json!({ "kind": Probe::NAME, "payload": payload })
}

impl Stack<'_> {
    /// Whether this API takes batches. An empty one is refused by an API that does.
    pub(super) async fn takes_batches(&self, tenant: &Tenant) -> Result<bool> {
        let mut connection = Connection::open(self.api).await?;
        let nothing = batch_order(tenant, &Value::Null, 0);
        let status = connection.ask(&nothing).await?.status;
        Ok(!matches!(status, 404 | 405))
    }

    /// Enqueues `count` probes, dealt out to the tenants in turn.
    pub(super) async fn enqueue(
        &self,
        tenants: &[Tenant],
        count: usize,
        payload: &Value,
    ) -> Result<()> {
        let Some(first) = tenants.first() else {
            return Ok(());
        };
        let batches = self.takes_batches(first).await?;
        let most = if batches { BATCH } else { 1 };
        let mut requests = Vec::new();
        for (number, tenant) in tenants.iter().enumerate() {
            let mut left = count / tenants.len() + usize::from(number < count % tenants.len());
            while left > 0 {
                let now = left.min(most);
                requests.push(if batches {
                    batch_order(tenant, payload, now)
                } else {
                    order(tenant, payload)
                });
                left -= now;
            }
        }
        let load = Load {
            address: self.api,
            clients: deal(requests, if batches { 4 } else { 64 }),
            expected: TAKEN,
        };
        load.send_once().await?;
        Ok(())
    }
}
