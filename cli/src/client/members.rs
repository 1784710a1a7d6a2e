//! `unity members`.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};

use super::{
    connection::{Api, ClientFlags, Whose},
    table::{self, Column, line},
};

/// `unity members ...`
#[derive(Debug, clap::Args)]
pub struct MembersArgs {
    #[command(flatten)]
    client: ClientFlags,
    /// The tenant; without it the one of the key.
    #[arg(long, global = true, value_name = "ID", env = "UNITY_TENANT")]
    tenant: Option<String>,
    #[command(subcommand)]
    command: MembersCommand,
}

#[derive(Debug, Subcommand)]
enum MembersCommand {
    /// Lists members.
    List {
        /// Members of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
    /// Shows a member.
    Show { user: String },
    /// Invites somebody: they get a mail, and are a member when they have accepted.
    Invite {
        email: String,
        /// admin, member or viewer.
        #[arg(long, default_value = "member")]
        role: String,
    },
    /// Gives a member another role: admin, member or viewer.
    SetRole {
        user: String,
        role: String,
        /// Only if the membership is still at this `ETag`.
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
    /// Ends a membership, the person's sessions of the tenant, and what they made there to come in by.
    Remove {
        user: String,
        /// Only if the membership is still at this `ETag`.
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
}

const COLUMNS: &[Column] = &[
    ("USER", "/user_id"),
    ("EMAIL", "/email"),
    ("NAME", "/name"),
    ("ROLE", "/role"),
    ("SINCE", "/created_at"),
];

pub(super) const INVITATION: &[Column] = &[
    ("ID", "/id"),
    ("EMAIL", "/email"),
    ("ROLE", "/role"),
    ("STATUS", "/status"),
    ("UNTIL", "/expires_at"),
];

/// Runs the command.
pub(crate) async fn run(args: MembersArgs) -> Result<()> {
    let api = args.client.connect(Whose::Demo)?;
    let tenant = tenant_of(&api, args.tenant).await?;
    let members = ["tenants", &tenant, "members"];
    match args.command {
        MembersCommand::List { limit, page_token } => {
            let query = page_query(limit, page_token);
            let page = api.get(&members, &query).await?;
            api.show(&page, |page| table::page(page, COLUMNS));
        }
        MembersCommand::Show { user } => {
            let member = api.get(&[&members[..], &[&user]].concat(), &[]).await?;
            api.show(&member, |member| table::fields(member, COLUMNS));
        }
        MembersCommand::Invite { email, role } => {
            let order = json!({ "email": email, "role": role });
            let invitation = api.send(Method::POST, &members, &order).await?;
            api.show(&invitation, |invitation| {
                table::fields(invitation, INVITATION);
            });
        }
        MembersCommand::SetRole {
            user,
            role,
            if_match,
        } => {
            let path = [&members[..], &[&user]].concat();
            let change = json!({ "role": role });
            let etag = if_match.as_deref();
            let member = api
                .send_if_match(Method::PATCH, &path, Some(&change), etag)
                .await?;
            api.show(&member, |member| table::fields(member, COLUMNS));
        }
        MembersCommand::Remove { user, if_match } => {
            let path = [&members[..], &[&user]].concat();
            let removed = api.send_if_match(Method::DELETE, &path, None, if_match.as_deref());
            let nothing = removed.await?;
            api.show(&nothing, |_| line(&format!("{user} is no member any more")));
        }
    }
    Ok(())
}

/// The tenant that was named, or the one that the key belongs to.
pub(super) async fn tenant_of(api: &Api, named: Option<String>) -> Result<String> {
    if let Some(tenant) = named {
        return Ok(tenant);
    }
    let me = api.get(&["auth", "me"], &[]).await?;
    let own = me.pointer("/tenant_id").and_then(Value::as_str);
    own.map(str::to_owned)
        .context("which tenant? the key belongs to none: say --tenant ID")
}

pub(super) fn page_query(
    limit: Option<u32>,
    page_token: Option<String>,
) -> Vec<(&'static str, String)> {
    let parameters = [
        ("limit", limit.map(|limit| limit.to_string())),
        ("page_token", page_token),
    ];
    parameters
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}
