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
    /// Lists tenants.
    List {
        /// Tenants of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
    /// Shows a tenant.
    Show { id: String },
    /// Makes a tenant. Its key and first password are shown this once.
    Create {
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
    },
    /// Shows a tenant's job limits, or replaces all of them: what is not said is as its plan has it.
    Limits(LimitsFlags),
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

/// Runs the command.
pub(crate) async fn run(args: TenantsArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    match args.command {
        TenantsCommand::List { limit, page_token } => {
            let query: Vec<(&str, String)> = [
                ("limit", limit.map(|limit| limit.to_string())),
                ("page_token", page_token),
            ]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
            let page = api.get(&["tenants"], &query).await?;
            api.show(&page, |page| table::page(page, COLUMNS));
        }
        TenantsCommand::Show { id } => {
            let tenant = api.get(&["tenants", &id], &[]).await?;
            api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
        }
        TenantsCommand::Create {
            id,
            name,
            plan,
            admin_email,
        } => {
            let name = name.unwrap_or_else(|| id.clone());
            let order = without_nulls(
                json!({ "id": id, "name": name, "plan": plan, "admin_email": admin_email }),
            );
            let tenant = api.send(Method::POST, &["tenants"], &order).await?;
            api.show(&tenant, |tenant| table::fields(tenant, FIELDS));
        }
        TenantsCommand::Limits(flags) => limits(&api, flags).await?,
    }
    Ok(())
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
