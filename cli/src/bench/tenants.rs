//! Tenants, made through the public API as anybody would make them, with limits for the scenario.

use std::time::Duration;

use anyhow::{Context as _, Result};
use futures::future::try_join_all;
use serde_json::{Value, json};
use unity_shared::tenancy::QUOTA_MAX;

use super::{
    http::{Connection, Request},
    load::deal,
    rows,
    stack::Stack,
};

/// A tenant and its administrator's key.
#[derive(Debug, Clone)]
pub(super) struct Tenant {
    pub(super) id: String,
    pub(super) key: String,
}

/// Hashing a first password keeps a core busy, so more at once would not be faster.
const AT_ONCE: usize = 2;
const PROVISIONING: u32 = 50;
/// How often a limit is set where the API answers that something is away, and the time between.
const TRIES: u32 = 10;
const PAUSE: Duration = Duration::from_millis(500);
/// No scenario lets more wait.
const MAX_WAITING: u32 = 1_000_000;

impl Stack<'_> {
    /// Makes tenants as [`Stack::orderers`] does and has their namespaces provisioned, so that
    /// nothing else waits when the scenario begins.
    pub(super) async fn tenants(
        &mut self,
        count: usize,
        max_concurrent: u32,
    ) -> Result<Vec<Tenant>> {
        let tenants = self.orderers(count, max_concurrent).await?;
        let worker = self.worker(PROVISIONING)?;
        rows::until_all_ended(&mut self.owner).await?;
        worker.stop().await?;
        Ok(tenants)
    }

    /// Makes `count` tenants that may run `max_concurrent` jobs each. The job that provisions the
    /// namespace of each waits.
    pub(super) async fn orderers(
        &mut self,
        count: usize,
        max_concurrent: u32,
    ) -> Result<Vec<Tenant>> {
        let orders = (0..count).map(|number| self.order(number)).collect();
        let address = self.api;
        let making = deal(orders, AT_ONCE).into_iter().map(|hand| async move {
            let mut connection = Connection::open(address).await?;
            let mut made = Vec::with_capacity(hand.len());
            for order in hand {
                let answer = connection.ask(&order).await?;
                answer.expect(201)?;
                made.push(tenant_in(answer.body)?);
            }
            anyhow::Ok(made)
        });
        let tenants: Vec<Tenant> = try_join_all(making).await?.into_iter().flatten().collect();
        self.set_limits(&tenants, max_concurrent).await?;
        Ok(tenants)
    }

    fn order(&self, number: usize) -> Request {
        let body = json!({
            "id": format!("bench-{number}"),
            "name": format!("Bench {number}"),
            "plan": "enterprise",
            "resource_quota": { "api_calls_per_hour": QUOTA_MAX },
        });
        Request::send_json("POST", "/api/v1/tenants", &self.admin_key, &body)
    }

    /// Sets the same limit for each of these tenants.
    pub(super) async fn set_limits(
        &mut self,
        tenants: &[Tenant],
        max_concurrent: u32,
    ) -> Result<()> {
        let body = json!({ "max_concurrent": max_concurrent, "max_waiting": MAX_WAITING });
        let mut connection = Connection::open(self.api).await?;
        for tenant in tenants {
            let path = format!("/api/v1/tenants/{}/job-limits", tenant.id);
            let put = Request::send_json("PUT", &path, &self.admin_key, &body);
            let mut tries = 1;
            loop {
                let answer = connection.ask(&put).await?;
                match answer.status {
                    200..300 => break,
                    404 => return self.write_limits(max_concurrent).await,
                    // A server was slow or away.
                    503 if tries < TRIES => tries += 1,
                    _ => answer.expect(200)?,
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    /// Where the API cannot set limits: into the rows, and into the gate by having it filled anew.
    async fn write_limits(&mut self, max_concurrent: u32) -> Result<()> {
        rows::set_max_concurrent(&mut self.owner, max_concurrent).await?;
        let mut redis = self.ground.redis().await?;
        redis.remove_keys(&self.site.name).await
    }
}

fn tenant_in(body: &[u8]) -> Result<Tenant> {
    let created: Value = serde_json::from_slice(body).context("the API answered without JSON")?;
    let text = |field: &str| {
        let value = created.get(field).and_then(Value::as_str);
        value
            .map(str::to_owned)
            .with_context(|| format!("the new tenant has no {field}"))
    };
    Ok(Tenant {
        id: text("tenant_id")?,
        key: text("api_key")?,
    })
}
