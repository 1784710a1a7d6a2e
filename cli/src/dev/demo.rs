//! The demo tenant, made through the public API exactly as anybody would make one.

use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail};
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use unity_shared::{
    ids::TenantId,
    jobs::{JobKind as _, kinds::ProvisionNamespace},
    tenancy::Role,
};

use super::{
    folder::{DemoRecord, DevRecord},
    show::JobProgressView,
};
use crate::{commands::create_key, process::Connections};

const TENANT: &str = "acme-corp";
/// A cluster that answers needs a second or two; one that does not should not be waited for longer.
const PATIENCE: Duration = Duration::from_mins(5);
const POLL: Duration = Duration::from_millis(100);

/// Creates the tenant, or on a later start has its namespace reconciled, and follows the job to its
/// end.
pub(super) async fn run(record: DevRecord, connections: &Connections) -> Result<DemoRecord> {
    let client = Client::builder().timeout(Duration::from_secs(30)).build()?;
    let demo = match create(&client, &record).await? {
        Some(demo) => demo,
        None => reconcile(&client, &record, connections).await?,
    };
    let following = follow(&client, &record.api_url, &demo);
    tokio::time::timeout(PATIENCE, following)
        .await
        .with_context(|| format!("the demo job {} did not end in time", demo.job_id))??;
    Ok(demo)
}

/// The call of the architecture document. None if the tenant exists already.
async fn create(client: &Client, record: &DevRecord) -> Result<Option<DemoRecord>> {
    let body = json!({
        "id": TENANT,
        "name": "Acme Corporation",
        "plan": "enterprise",
        "resource_quota": {
            "kubernetes_clusters": 10, "cpu_cores": 100, "memory_gb": 256, "storage_gb": 1000,
            "api_calls_per_hour": 100_000
        }
    });
    let answer = client
        .post(format!("{}/api/v1/tenants", record.api_url))
        .bearer_auth(&record.admin_api_key)
        .json(&body)
        .send()
        .await
        .context("the API did not answer")?;
    if answer.status() == StatusCode::CONFLICT {
        return Ok(None);
    }
    let created = json_of(answer)
        .await
        .context("could not create the demo tenant")?;
    Ok(Some(DemoRecord {
        tenant_id: TENANT.to_owned(),
        api_key: text(&created, "api_key")?,
        job_id: text(&created, "job_id")?,
    }))
}

async fn reconcile(
    client: &Client,
    record: &DevRecord,
    connections: &Connections,
) -> Result<DemoRecord> {
    let api_key = if let Some(last) = &record.demo {
        last.api_key.clone()
    } else {
        let tenant = TenantId::parse(TENANT)?;
        let Connections {
            database, clock, ..
        } = connections;
        let key = create_key(
            database,
            clock,
            Some(&tenant),
            Role::TenantAdmin,
            "unity dev",
        )
        .await?;
        key.reveal().to_owned()
    };
    let answer = client
        .post(format!("{}/api/v1/jobs", record.api_url))
        .bearer_auth(&api_key)
        .json(&json!({ "kind": ProvisionNamespace::NAME, "payload": {} }))
        .send()
        .await
        .context("the API did not answer")?;
    let job = json_of(answer)
        .await
        .context("could not reconcile the demo tenant")?;
    Ok(DemoRecord {
        tenant_id: TENANT.to_owned(),
        api_key,
        job_id: text(&job, "id")?,
    })
}

async fn follow(client: &Client, api_url: &str, demo: &DemoRecord) -> Result<()> {
    let view = JobProgressView::new(&demo.job_id);
    loop {
        let answer = client
            .get(format!("{api_url}/api/v1/jobs/{}", demo.job_id))
            .bearer_auth(&demo.api_key)
            .send()
            .await
            .context("the API did not answer")?;
        let job = json_of(answer)
            .await
            .context("could not read the demo job")?;
        let status = text(&job, "status")?;
        view.update(&status, &job);
        match status.as_str() {
            "succeeded" => {
                view.done("succeeded");
                return Ok(());
            }
            "failed" | "cancelled" | "superseded" => {
                view.done(&status);
                bail!(
                    "the demo job {} {status}: {}",
                    demo.job_id,
                    job.pointer("/error/message").unwrap_or(&Value::Null)
                );
            }
            _ => tokio::time::sleep(POLL).await,
        }
    }
}

async fn json_of(answer: Response) -> Result<Value> {
    let status = answer.status();
    let body: Value = answer
        .json()
        .await
        .context("the API answered without JSON")?;
    if status.is_success() {
        return Ok(body);
    }
    let detail = body
        .get("detail")
        .and_then(Value::as_str)
        .unwrap_or_default();
    Err(anyhow!("the API answered {status}: {detail}"))
}

fn text(value: &Value, field: &str) -> Result<String> {
    value
        .get(field)
        .and_then(Value::as_str)
        .map(str::to_owned)
        .with_context(|| format!("the API's answer has no {field}"))
}
