//! `unity act-as`.

use anyhow::Result;
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    connection::{ClientFlags, Whose},
    members::page_query,
    table::{self, Column, line},
};

/// `unity act-as ...`
#[derive(Debug, clap::Args)]
pub struct ActAsArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: ActAsCommand,
}

#[derive(Debug, Subcommand)]
enum ActAsCommand {
    /// Begins to act inside a tenant, and prints the token for it, once. The tenant is told of every
    /// request with it.
    Begin {
        /// The tenant.
        tenant: String,
        /// Why; the tenant reads it.
        #[arg(long)]
        reason: String,
        /// For how long, 1 to 60.
        #[arg(long, value_name = "N", default_value_t = 15)]
        minutes: i64,
        /// As what: tenant-admin, tenant-member or tenant-viewer.
        #[arg(long, default_value = "tenant-viewer")]
        role: String,
    },
    /// Lists who acts, or acted, inside a tenant: the last first.
    List {
        /// The tenant.
        tenant: String,
        /// Grants of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
    /// Ends it before its end.
    End {
        /// The tenant.
        tenant: String,
        /// The grant.
        id: String,
    },
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("WHO", "/actor_display"),
    ("ROLE", "/role"),
    ("REASON", "/reason"),
    ("SINCE", "/created_at"),
    ("UNTIL", "/expires_at"),
    ("ENDED", "/ended_at"),
];

/// Runs the command.
pub(crate) async fn run(args: ActAsArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    match args.command {
        ActAsCommand::Begin {
            tenant,
            reason,
            minutes,
            role,
        } => {
            let order = json!({ "reason": reason, "minutes": minutes, "role": role });
            let path = ["tenants", &tenant, "act-as"];
            let begun = api.send(Method::POST, &path, &order).await?;
            api.show(&begun, |begun| {
                let token = begun.get("token").and_then(Value::as_str);
                line(token.unwrap_or_default());
            });
        }
        ActAsCommand::List {
            tenant,
            limit,
            page_token,
        } => {
            let query = page_query(limit, page_token);
            let page = api.get(&["tenants", &tenant, "act-as"], &query).await?;
            api.show(&page, |page| table::page(page, COLUMNS));
        }
        ActAsCommand::End { tenant, id } => {
            let path = ["tenants", &tenant, "act-as", &id];
            let nothing = api.call_without_body(Method::DELETE, &path).await?;
            api.show(&nothing, |_| line(&format!("{id} has ended")));
        }
    }
    Ok(())
}
