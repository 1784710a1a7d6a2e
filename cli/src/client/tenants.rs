//! `unity tenants`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    connection::{Api, ClientFlags, Whose},
    jobs::without_nulls,
    table::{self, Column},
};

/// `unity tenants ...`
#[derive(Debug, clap::Args)]
pub struct TenantsArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: TenantsCommand,
}

#[derive(Debug, Subcommand)]
enum TenantsCommand {
    /// Lists tenants; purged ones only if asked for.
    List(ListFlags),
    /// Shows a tenant.
    #[command(visible_alias = "get")]
    Show { id: String },
    /// Makes a tenant. Its key and first password are shown this once.
    Create(CreateFlags),
    /// Changes a tenant's name, plan or quotas.
    Patch(PatchFlags),
    /// Takes a tenant out of use: its callers are refused, its jobs held.
    Suspend(StepFlags),
    /// Takes a suspended tenant back into use.
    Resume(StepFlags),
    /// Takes a deletion back, until the grace period ends.
    Restore(StepFlags),
    /// Deletes a tenant. It can be restored until its grace period ends; then it is purged.
    Delete {
        id: String,
        /// Only if the tenant is still at this `ETag`.
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
    /// Orders the purge of a deleted tenant whose grace period is over, without waiting for the scheduler.
    Purge { id: String },
    /// Shows what a tenant uses of each quota.
    Usage { id: String },
    /// Shows a tenant's job limits, or replaces all of them: what is not said is as its plan has it.
    Limits(LimitsFlags),
}

#[derive(Debug, clap::Args)]
struct ListFlags {
    /// active, suspended, deleted, purging or purged.
    #[arg(long)]
    status: Option<String>,
    /// free, pro or enterprise.
    #[arg(long)]
    plan: Option<String>,
    /// Only tenants with this text in their id or name.
    #[arg(long, value_name = "TEXT")]
    search: Option<String>,
    /// Tenants of a page.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// The page that an earlier list named.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

#[derive(Debug, clap::Args)]
struct CreateFlags {
    id: String,
    /// What people call it; without it the id.
    #[arg(long)]
    name: Option<String>,
    /// free, pro or enterprise.
    #[arg(long)]
    plan: Option<String>,
    /// The first administrator's address.
    #[arg(long, value_name = "ADDRESS")]
    admin_email: Option<String>,
    /// A quota of its own; may be repeated.
    #[arg(long, value_name = "NAME=N", value_parser = quota)]
    quota: Vec<(String, Value)>,
}

#[derive(Debug, clap::Args)]
struct PatchFlags {
    id: String,
    /// What people call it.
    #[arg(long)]
    name: Option<String>,
    /// free, pro or enterprise.
    #[arg(long)]
    plan: Option<String>,
    /// A quota of its own, or `NAME=default` for the plan's; may be repeated.
    #[arg(long, value_name = "NAME=N", value_parser = quota)]
    quota: Vec<(String, Value)>,
    /// Only if the tenant is still at this `ETag`.
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
}

#[derive(Debug, clap::Args)]
struct StepFlags {
    id: String,
    /// Why; shown with the tenant.
    #[arg(long)]
    reason: Option<String>,
    /// Has its effect once, however often it is repeated with this key.
    #[arg(long, value_name = "KEY")]
    idempotency_key: Option<String>,
}

#[derive(Debug, clap::Args)]
struct LimitsFlags {
    id: String,
    /// Most jobs that run at once.
    #[arg(long, value_name = "N")]
    max_concurrent: Option<i64>,
    /// Most jobs of a kind that run at once; may be repeated.
    #[arg(long, value_name = "KIND=N", value_parser = kind_limit, requires = "max_concurrent")]
    per_kind: Vec<(String, i64)>,
    /// Share of the fleet against other tenants.
    #[arg(long, value_name = "N", requires = "max_concurrent")]
    weight: Option<i64>,
    /// Most jobs that wait.
    #[arg(long, value_name = "N", requires = "max_concurrent")]
    max_waiting: Option<i64>,
}

const COLUMNS: &[Column] = &[
    ("TENANT", "/tenant_id"),
    ("NAME", "/name"),
    ("PLAN", "/plan"),
    ("STATUS", "/status"),
    ("NAMESPACE", "/namespace"),
    ("CREATED", "/created_at"),
];

const FIELDS: &[Column] = &[
    ("tenant", "/tenant_id"),
    ("uid", "/uid"),
    ("name", "/name"),
    ("plan", "/plan"),
    ("status", "/status"),
    ("namespace", "/namespace"),
    ("quota", "/resource_quota"),
    ("created at", "/created_at"),
    ("suspended at", "/suspended_at"),
    ("deleted at", "/deleted_at"),
    ("purge after", "/purge_after"),
    ("reason", "/status_reason"),
    ("job", "/job_id"),
    ("api key", "/api_key"),
    ("admin", "/admin_email"),
    ("password", "/admin_password"),
];

const LIMITS: &[Column] = &[
    ("tenant", "/tenant_id"),
    ("max concurrent", "/max_concurrent"),
    ("per kind", "/per_kind"),
    ("weight", "/weight"),
    ("max waiting", "/max_waiting"),
    ("running now", "/counts/running"),
    ("waiting now", "/counts/waiting"),
];

const PURGE: &[Column] = &[
    ("job", "/id"),
    ("status", "/status"),
    ("tenant", "/payload/tenant_id"),
];

const USAGE: &[Column] = &[
    ("QUOTA", "/quota"),
    ("LIMIT", "/use/limit"),
    ("USED", "/use/used"),
];

/// Runs the command.
pub(crate) async fn run(args: TenantsArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    match args.command {
        TenantsCommand::List(flags) => list(&api, flags).await?,
        TenantsCommand::Show { id } => {
            let tenant = api.get(&["tenants", &id], &[]).await?;
            api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
        }
        TenantsCommand::Create(flags) => create(&api, flags).await?,
        TenantsCommand::Patch(flags) => patch(&api, flags).await?,
        TenantsCommand::Suspend(flags) => step(&api, "suspend", flags).await?,
        TenantsCommand::Resume(flags) => step(&api, "resume", flags).await?,
        TenantsCommand::Restore(flags) => step(&api, "restore", flags).await?,
        TenantsCommand::Delete { id, if_match } => {
            let path = ["tenants", &id];
            let tenant = api
                .send_if_match(Method::DELETE, &path, None, if_match.as_deref())
                .await?;
            api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
        }
        TenantsCommand::Purge { id } => {
            let job = api
                .call_without_body(Method::POST, &["tenants", &id, "purge"])
                .await?;
            api.show(&job, |job| table::fields(job, PURGE));
        }
        TenantsCommand::Usage { id } => {
            let usage = api.get(&["tenants", &id, "usage"], &[]).await?;
            api.show(&usage, show_usage);
        }
        TenantsCommand::Limits(flags) => limits(&api, flags).await?,
    }
    Ok(())
}

async fn list(api: &Api, flags: ListFlags) -> Result<()> {
    let ListFlags {
        status,
        plan,
        search,
        limit,
        page_token,
    } = flags;
    let query: Vec<(&str, String)> = [
        ("status", status),
        ("plan", plan),
        ("q", search),
        ("limit", limit.map(|limit| limit.to_string())),
        ("page_token", page_token),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let page = api.get(&["tenants"], &query).await?;
    api.show(&page, |page| table::page(page, COLUMNS));
    Ok(())
}

async fn create(api: &Api, flags: CreateFlags) -> Result<()> {
    let CreateFlags {
        id,
        name,
        plan,
        admin_email,
        quota,
    } = flags;
    let name = name.unwrap_or_else(|| id.clone());
    let order = without_nulls(json!({
        "id": id, "name": name, "plan": plan, "admin_email": admin_email,
        "resource_quota": quotas(quota),
    }));
    let tenant = api.send(Method::POST, &["tenants"], &order).await?;
    api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
    Ok(())
}

async fn patch(api: &Api, flags: PatchFlags) -> Result<()> {
    let PatchFlags {
        id,
        name,
        plan,
        quota,
        if_match,
    } = flags;
    let mut patch = without_nulls(json!({ "name": name, "plan": plan }));
    if let (Some(quota), Value::Object(fields)) = (quotas(quota), &mut patch) {
        // A null stays: it takes a quota back to the plan's.
        fields.insert("resource_quota".to_owned(), quota);
    }
    let tenant = api
        .send_if_match(
            Method::PATCH,
            &["tenants", &id],
            Some(&patch),
            if_match.as_deref(),
        )
        .await?;
    api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
    Ok(())
}

async fn step(api: &Api, action: &str, flags: StepFlags) -> Result<()> {
    let StepFlags {
        id,
        reason,
        idempotency_key,
    } = flags;
    let order = without_nulls(json!({ "reason": reason }));
    let path = ["tenants", &id, action];
    let tenant = api
        .post_once(&path, &order, idempotency_key.as_deref())
        .await?;
    api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
    Ok(())
}

/// Absent if none was said.
fn quotas(said: Vec<(String, Value)>) -> Option<Value> {
    (!said.is_empty()).then(|| Value::Object(said.into_iter().collect()))
}

fn show_usage(usage: &Value) {
    let quotas = usage.as_object().into_iter().flatten();
    let items: Vec<Value> = quotas
        .filter(|(_, use_of)| use_of.is_object())
        .map(|(name, use_of)| json!({ "quota": name, "use": use_of }))
        .collect();
    table::page(&json!({ "items": items, "next_page_token": null }), USAGE);
}

async fn limits(api: &Api, flags: LimitsFlags) -> Result<()> {
    let LimitsFlags {
        id,
        max_concurrent,
        per_kind,
        weight,
        max_waiting,
    } = flags;
    let path = ["tenants", &id, "job-limits"];
    let answer = match max_concurrent {
        Some(max_concurrent) => {
            let per_kind: BTreeMap<String, i64> = per_kind.into_iter().collect();
            let order = without_nulls(json!({
                "max_concurrent": max_concurrent, "per_kind": per_kind, "weight": weight,
                "max_waiting": max_waiting,
            }));
            api.send(Method::PUT, &path, &order).await?
        }
        None => api.get(&path, &[]).await?,
    };
    api.show(&answer, |limits: &Value| table::fields(limits, LIMITS));
    Ok(())
}

fn kind_limit(text: &str) -> Result<(String, i64), String> {
    let (kind, most) = super::jobs::pair(text).map_err(|_| "must be kind=number".to_owned())?;
    let most = most.parse().map_err(|_| "must be kind=number".to_owned())?;
    Ok((kind, most))
}

fn quota(text: &str) -> Result<(String, Value), String> {
    let problem = || "must be name=number, or name=default".to_owned();
    let (name, value) = super::jobs::pair(text).map_err(|_| problem())?;
    if value == "default" {
        return Ok((name, Value::Null));
    }
    let value: u32 = value.parse().map_err(|_| problem())?;
    Ok((name, value.into()))
}
