//! `unity invitations`.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::{
    connection::{Api, ClientFlags, Whose},
    jobs::without_nulls,
    members::{INVITATION, page_query, tenant_of},
    table::{self, Column, line},
};

/// `unity invitations ...`
#[derive(Debug, clap::Args)]
pub struct InvitationsArgs {
    #[command(flatten)]
    client: ClientFlags,
    /// The tenant; without it the one of the key.
    #[arg(long, global = true, value_name = "ID", env = "UNITY_TENANT")]
    tenant: Option<String>,
    #[command(subcommand)]
    command: InvitationsCommand,
}

#[derive(Debug, Subcommand)]
enum InvitationsCommand {
    #[command(flatten)]
    Manage(ManageCommand),
    /// Accepts an invitation with the code in its mail. Needs no key.
    Accept(AcceptFlags),
}

/// What an administrator of the tenant does.
#[derive(Debug, Subcommand)]
enum ManageCommand {
    /// Lists invitations, the newest first.
    List {
        /// Those in this state: pending, accepted, revoked or expired.
        #[arg(long)]
        status: Option<String>,
        /// Invitations of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
    /// Shows an invitation.
    Show { id: String },
    /// Sends an invitation again; the code in the mail before is void.
    Resend { id: String },
    /// Takes an invitation back.
    Revoke { id: String },
}

#[derive(Debug, clap::Args)]
struct AcceptFlags {
    code: String,
    /// What others call you, if you are new here.
    #[arg(long)]
    name: Option<String>,
    /// Reads your password from standard input: the one that you choose if you are new here, else your
    /// own. There is no flag for it: others can see the flags of a process.
    #[arg(long)]
    password_stdin: bool,
}

const ADMITTED: &[Column] = &[
    ("tenant", "/tenant_id"),
    ("user", "/user_id"),
    ("email", "/email"),
    ("role", "/role"),
];

/// Runs the command.
pub(crate) async fn run(args: InvitationsArgs) -> Result<()> {
    let InvitationsArgs {
        client,
        tenant,
        command,
    } = args;
    match command {
        InvitationsCommand::Accept(flags) => accept(&client.connect_without_key()?, flags).await,
        InvitationsCommand::Manage(command) => {
            let api = client.connect(Whose::Demo)?;
            let tenant = tenant_of(&api, tenant).await?;
            manage(&api, &tenant, command).await
        }
    }
}

async fn accept(api: &Api, flags: AcceptFlags) -> Result<()> {
    let AcceptFlags {
        code,
        name,
        password_stdin,
    } = flags;
    let password = password_stdin.then(read_password).transpose()?;
    let order = without_nulls(json!({ "token": code, "name": name, "password": password }));
    let path = ["invitations", "accept"];
    let admitted = api.send(Method::POST, &path, &order).await?;
    api.show(&admitted, |admitted| table::fields(admitted, ADMITTED));
    Ok(())
}

async fn manage(api: &Api, tenant: &str, command: ManageCommand) -> Result<()> {
    let invitations = ["tenants", tenant, "invitations"];
    match command {
        ManageCommand::List {
            status,
            limit,
            page_token,
        } => {
            let mut query = page_query(limit, page_token);
            query.extend(status.map(|status| ("status", status)));
            let page = api.get(&invitations, &query).await?;
            api.show(&page, |page| table::page(page, INVITATION));
        }
        ManageCommand::Show { id } => {
            let found = api.get(&[&invitations[..], &[&id]].concat(), &[]).await?;
            api.show(&found, |invitation| table::fields(invitation, INVITATION));
        }
        ManageCommand::Resend { id } => {
            let path = [&invitations[..], &[&id, "resend"]].concat();
            let job = api.call_without_body(Method::POST, &path).await?;
            api.show(&job, |_| line(&format!("{id} is sent again")));
        }
        ManageCommand::Revoke { id } => {
            let path = [&invitations[..], &[&id]].concat();
            let nothing = api.call_without_body(Method::DELETE, &path).await?;
            api.show(&nothing, |_| line(&format!("{id} is revoked")));
        }
    }
    Ok(())
}

fn read_password() -> Result<String> {
    let mut typed = String::new();
    std::io::stdin()
        .read_line(&mut typed)
        .context("could not read the password")?;
    Ok(typed.trim_end_matches(['\r', '\n']).to_owned())
}
