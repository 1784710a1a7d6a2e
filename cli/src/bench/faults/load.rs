//! Clients as they should be: one that gets no answer, or that something is wrong on the other side,
//! asks again with the same idempotency key until it knows.

use std::{sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::timeout};
use unity_shared::{
    ids::JobId,
    jobs::{JobKind as _, kinds::Probe},
};

use super::super::{
    http::{Connection, HttpError, Request},
    orders::{JOBS, TAKEN},
    tenants::Tenant,
};

/// What clients heard.
#[derive(Debug, Default, Clone, Serialize)]
pub(super) struct Asked {
    /// Answers of 500 and above.
    pub(super) server_errors: u64,
    /// Connections that broke, were refused, or did not answer in time.
    pub(super) no_answers: u64,
    /// Other answers than 202 that no retry mends.
    pub(super) refused: u64,
    #[serde(skip)]
    pub(super) taken: Vec<JobId>,
}

impl Asked {
    fn add(&mut self, other: Self) {
        self.server_errors += other.server_errors;
        self.no_answers += other.no_answers;
        self.refused += other.refused;
        self.taken.extend(other.taken);
    }
}

/// A load that goes on until it is told to stop.
pub(super) struct Load {
    stop: watch::Sender<bool>,
    clients: JoinSet<Asked>,
}

/// Clients of each tenant.
const CLIENTS: usize = 4;
const PAUSE: Duration = Duration::from_millis(50);
const RETRY_PAUSE: Duration = Duration::from_millis(100);
const ANSWER_TIME: Duration = Duration::from_secs(5);

impl Load {
    /// Some clients for each tenant, more than it may run jobs.
    pub(super) fn start(address: std::net::SocketAddr, tenants: &[Tenant]) -> Self {
        let (stop, stopped) = watch::channel(false);
        let mut clients = JoinSet::new();
        for tenant in tenants.iter().flat_map(|tenant| [tenant; CLIENTS]) {
            let client = Client {
                address,
                key: tenant.key.as_str().into(),
                connection: None,
                asked: Asked::default(),
            };
            clients.spawn(client.run(stopped.clone()));
        }
        Self { stop, clients }
    }

    /// Stops it and answers what the clients heard.
    pub(super) async fn stop(mut self) -> Result<Asked> {
        self.stop.send_replace(true);
        let mut asked = Asked::default();
        while let Some(ended) = self.clients.join_next().await {
            asked.add(ended.context("a client of the load panicked")?);
        }
        Ok(asked)
    }
}

struct Client {
    address: std::net::SocketAddr,
    key: Arc<str>,
    connection: Option<Connection>,
    asked: Asked,
}

impl Client {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) -> Asked {
        let mut number = 0_u32;
        while !*stopped.borrow() {
            number += 1;
            let name = format!("drill-{:016x}", rand::random::<u64>());
            let order = Request::order(JOBS, &self.key, &name, &job(number));
            while !self.ask(&order).await {
                if *stopped.borrow() {
                    return self.asked;
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            let _ = timeout(PAUSE, stopped.changed()).await;
        }
        self.asked
    }

    /// Asks once. Answers whether the matter is settled.
    async fn ask(&mut self, order: &Request) -> bool {
        match timeout(ANSWER_TIME, self.answer(order)).await {
            Ok(Ok((TAKEN, Some(id)))) => self.asked.taken.push(id),
            Ok(Ok((status, _))) if status >= 500 || status == 409 || status == 429 => {
                self.asked.server_errors += u64::from(status >= 500);
                return false;
            }
            Ok(Ok(_)) => self.asked.refused += 1,
            Ok(Err(_)) | Err(_) => {
                self.asked.no_answers += 1;
                self.connection = None;
                return false;
            }
        }
        true
    }

    async fn answer(&mut self, order: &Request) -> Result<(u16, Option<JobId>), HttpError> {
        let connection = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(Connection::open(self.address).await?),
        };
        let answer = connection.ask(order).await?;
        let body: Value = serde_json::from_slice(answer.body).unwrap_or_default();
        let id = body.get("id").and_then(Value::as_str);
        Ok((answer.status, id.and_then(|id| id.parse().ok())))
    }
}

/// Short jobs; some fail once, some share a resource key.
fn job(number: u32) -> Value {
    let fails = u32::from(number.is_multiple_of(10));
    let mut job = json!({
        "kind": Probe::NAME,
        "payload": { "sleep_ms": 80 + number % 5 * 40, "fail_attempts": fails },
    });
    if number.is_multiple_of(7)
        && let Some(fields) = job.as_object_mut()
    {
        fields.insert("resource_key".to_owned(), "drill".into());
    }
    job
}
