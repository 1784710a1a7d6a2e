//! `unity jobs`.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value, json};

use super::{
    connection::{Api, ClientFlags, Whose},
    table::{self, Column, line, text},
};

/// `unity jobs ...`
#[derive(Debug, clap::Args)]
pub struct JobsArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: JobsCommand,
}

#[derive(Debug, Subcommand)]
enum JobsCommand {
    /// Lists jobs, newest first.
    List(ListFlags),
    /// Shows a job.
    Show { id: String },
    /// Enqueues a job.
    Enqueue(EnqueueFlags),
    /// Cancels one job by its id, or all that match.
    Cancel(ManyFlags),
    /// Tries one job again by its id, or all that match.
    Retry(ManyFlags),
    /// Says why a job does not run.
    Why { id: String },
    /// Follows a job to its end: exit 0 if it succeeds.
    Watch { id: String },
}

#[derive(Debug, clap::Args)]
struct ListFlags {
    /// Only this status, for example `failed`.
    #[arg(long)]
    status: Option<String>,
    /// Only this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Only jobs with this label.
    #[arg(long, value_name = "KEY=VALUE")]
    label: Option<String>,
    /// Only jobs made after this instant (RFC 3339).
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Jobs of a page.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// The page that an earlier list named.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

#[derive(Debug, clap::Args)]
struct EnqueueFlags {
    /// What is to be done.
    kind: String,
    /// What the kind takes, as JSON.
    #[arg(long, value_name = "JSON", default_value = "{}")]
    payload: String,
    /// 0 (last) to 9 (first).
    #[arg(long, value_name = "0..9")]
    priority: Option<i64>,
    /// Not before so many seconds have passed.
    #[arg(long, value_name = "SECONDS")]
    delay: Option<i64>,
    /// Not before this instant (RFC 3339).
    #[arg(long, value_name = "TIME", conflicts_with = "delay")]
    run_at: Option<String>,
    /// Fails if it has not begun by then (RFC 3339).
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
    /// Longest time of one attempt.
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<i64>,
    /// Most attempts.
    #[arg(long, value_name = "N")]
    max_attempts: Option<i64>,
    /// At most one job with the same key runs at a time.
    #[arg(long, value_name = "KEY")]
    resource_key: Option<String>,
    /// A label; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The same key makes the same job, however often it is sent.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Debug, clap::Args)]
struct ManyFlags {
    /// Jobs by their ids.
    #[arg(required_unless_present_any = ["status", "kind", "label", "created_after", "created_before"])]
    ids: Vec<String>,
    /// Only this status.
    #[arg(long)]
    status: Option<String>,
    /// Only this kind.
    #[arg(long)]
    kind: Option<String>,
    /// Only jobs with this label; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Only jobs made after this instant (RFC 3339).
    #[arg(long, value_name = "TIME")]
    created_after: Option<String>,
    /// Only jobs made before this instant (RFC 3339).
    #[arg(long, value_name = "TIME")]
    created_before: Option<String>,
    /// Most jobs, oldest first.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("KIND", "/kind"),
    ("STATUS", "/status"),
    ("ATTEMPT", "/attempt"),
    ("PRIORITY", "/priority"),
    ("CREATED", "/created_at"),
    ("ERROR", "/error/code"),
];

const FIELDS: &[Column] = &[
    ("id", "/id"),
    ("tenant", "/tenant_id"),
    ("kind", "/kind"),
    ("status", "/status"),
    ("queue", "/queue"),
    ("priority", "/priority"),
    ("attempt", "/attempt"),
    ("max attempts", "/max_attempts"),
    ("payload", "/payload"),
    ("labels", "/labels"),
    ("resource key", "/resource_key"),
    ("created at", "/created_at"),
    ("run at", "/run_at"),
    ("expires at", "/expires_at"),
    ("started at", "/started_at"),
    ("finished at", "/finished_at"),
    ("progress", "/progress/percent"),
    ("doing", "/progress/message"),
    ("cancel asked", "/cancellation/requested_at"),
    ("cancel heard", "/cancellation/delivered_at"),
    ("result", "/result"),
    ("error code", "/error/code"),
    ("error", "/error/message"),
];

/// Runs the command.
pub(crate) async fn run(args: JobsArgs) -> Result<()> {
    let api = args.client.connect(Whose::Demo)?;
    match args.command {
        JobsCommand::List(flags) => list(&api, flags).await,
        JobsCommand::Show { id } => {
            let job = api.get(&["jobs", &id], &[]).await?;
            api.show(&job, |job| table::fields(job, FIELDS));
            Ok(())
        }
        JobsCommand::Enqueue(flags) => enqueue(&api, flags).await,
        JobsCommand::Cancel(flags) => many(&api, "cancel", flags).await,
        JobsCommand::Retry(flags) => many(&api, "retry", flags).await,
        JobsCommand::Why { id } => {
            let why = api.get(&["jobs", &id, "why"], &[]).await?;
            api.show(&why, show_why);
            Ok(())
        }
        JobsCommand::Watch { id } => watch(&api, &id).await,
    }
}

async fn list(api: &Api, flags: ListFlags) -> Result<()> {
    let ListFlags {
        status,
        kind,
        label,
        created_after,
        limit,
        page_token,
    } = flags;
    let query: Vec<(&str, String)> = [
        ("status", status),
        ("kind", kind),
        ("label", label),
        ("created_after", created_after),
        ("limit", limit.map(|limit| limit.to_string())),
        ("page_token", page_token),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let page = api.get(&["jobs"], &query).await?;
    api.show(&page, |page| table::page(page, COLUMNS));
    Ok(())
}

async fn enqueue(api: &Api, flags: EnqueueFlags) -> Result<()> {
    let EnqueueFlags {
        kind,
        payload,
        priority,
        delay,
        run_at,
        expires_at,
        timeout,
        max_attempts,
        resource_key,
        label,
        idempotency_key,
    } = flags;
    let payload: Value = serde_json::from_str(&payload).context("--payload is not JSON")?;
    let labels: BTreeMap<String, String> = label.into_iter().collect();
    let order = without_nulls(json!({
        "kind": kind, "payload": payload, "priority": priority, "delay_seconds": delay,
        "run_at": run_at, "expires_at": expires_at, "timeout_seconds": timeout,
        "max_attempts": max_attempts, "resource_key": resource_key,
        "labels": (!labels.is_empty()).then_some(labels),
    }));
    let job = api
        .post_once(&["jobs"], &order, idempotency_key.as_deref())
        .await?;
    api.show(&job, |job| {
        let part = |field| text(job.get(field).unwrap_or(&Value::Null));
        line(&format!("{} {}", part("id"), part("status")));
    });
    Ok(())
}

/// One job by its own address, several by a filter.
async fn many(api: &Api, action: &str, flags: ManyFlags) -> Result<()> {
    let ManyFlags {
        ids,
        status,
        kind,
        label,
        created_after,
        created_before,
        limit,
    } = flags;
    let labels: BTreeMap<String, String> = label.into_iter().collect();
    let filter = without_nulls(json!({
        "status": status, "kind": kind, "created_after": created_after, "created_before": created_before,
        "label": (!labels.is_empty()).then_some(labels),
    }));
    if let (Some(id), true, None) = (ids.first(), filter == json!({}), ids.get(1)) {
        let path = ["jobs", id, action];
        let job = api.send(Method::POST, &path, &json!({})).await?;
        api.show(&job, |job| table::fields(job, FIELDS));
        return Ok(());
    }
    let mut order = json!({ "filter": filter, "limit": limit });
    if !ids.is_empty()
        && let Some(filter) = order.get_mut("filter").and_then(Value::as_object_mut)
    {
        filter.insert("ids".to_owned(), json!(ids));
    }
    let collection = format!("jobs:{action}");
    let done = api
        .send(Method::POST, &[&collection], &without_nulls(order))
        .await?;
    api.show(&done, |done| {
        let count = text(done.get("count").unwrap_or(&Value::Null));
        let more = done.get("more") == Some(&Value::Bool(true));
        line(&format!(
            "{count} jobs{}",
            if more {
                "; there are more that match"
            } else {
                ""
            }
        ));
    });
    Ok(())
}

fn show_why(why: &Value) {
    let part = |value: &Value, field| text(value.get(field).unwrap_or(&Value::Null));
    line(&format!(
        "{} is {}",
        part(why, "job_id"),
        part(why, "status")
    ));
    let reasons = why.get("reasons").and_then(Value::as_array);
    for reason in reasons.into_iter().flatten() {
        line(&format!(
            "{}: {}",
            part(reason, "code"),
            part(reason, "detail")
        ));
    }
    if let Some(ahead) = why.get("ahead").filter(|ahead| !ahead.is_null()) {
        line(&format!(
            "ahead: {} jobs of the tenant, {} tenants",
            part(ahead, "jobs"),
            part(ahead, "tenants")
        ));
    }
}

/// Prints each change until the end.
async fn watch(api: &Api, id: &str) -> Result<()> {
    let mut last = String::new();
    loop {
        let job = api.get(&["jobs", id], &[("wait", "1".to_owned())]).await?;
        let part = |pointer| text(job.pointer(pointer).unwrap_or(&Value::Null));
        let status = part("/status");
        let now = format!(
            "{status} attempt {} {}% {}",
            part("/attempt"),
            part("/progress/percent"),
            part("/progress/message")
        );
        if now != last {
            api.show(&job, |_| line(&now));
            last = now;
        }
        match status.as_str() {
            "succeeded" => return Ok(()),
            "failed" | "cancelled" | "superseded" => {
                bail!("the job ended {status}: {}", part("/error/message"))
            }
            _ => {}
        }
    }
}

/// An order without what was not said.
pub(super) fn without_nulls(order: Value) -> Value {
    match order {
        Value::Object(fields) => {
            let said = fields.into_iter().filter(|(_, value)| !value.is_null());
            Value::Object(said.collect::<Map<_, _>>())
        }
        other => other,
    }
}

/// `key=value`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        Some(_) | None => Err("must be key=value".to_owned()),
    }
}
