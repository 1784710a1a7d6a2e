//! `unity identity-provider`.

use anyhow::{Context as _, Result};
use clap::Subcommand;
use reqwest::Method;
use serde_json::json;

use super::{
    connection::{ClientFlags, Whose},
    jobs::without_nulls,
    members::tenant_of,
    table::{self, Column, line},
};

/// `unity identity-provider ...`
#[derive(Debug, clap::Args)]
pub struct IdentityProviderArgs {
    #[command(flatten)]
    client: ClientFlags,
    /// The tenant; without it the one of the key.
    #[arg(long, global = true, value_name = "ID", env = "UNITY_TENANT")]
    tenant: Option<String>,
    #[command(subcommand)]
    command: IdentityProviderCommand,
}

#[derive(Debug, Subcommand)]
enum IdentityProviderCommand {
    /// Shows by which provider the tenant's people sign in.
    Show,
    /// Sets the provider, in place of the one before.
    Set(SetFlags),
    /// Takes it away: nobody signs in by it any more.
    Remove {
        /// Only if it is still at this `ETag`.
        #[arg(long, value_name = "ETAG")]
        if_match: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
struct SetFlags {
    /// Its address, an `https://` URL.
    #[arg(long, value_name = "URL")]
    issuer: String,
    /// The name under which it knows Unity.
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The secret that goes with it, by this variable: others can see the flags of a process.
    #[arg(long, value_name = "VARIABLE", default_value = "UNITY_CLIENT_SECRET")]
    client_secret_env: String,
    /// A domain whose addresses it may vouch for; may be repeated. Without one: all.
    #[arg(long = "email-domain", value_name = "DOMAIN")]
    email_domains: Vec<String>,
    /// What somebody becomes whom nobody invited: member or viewer. Without it nobody comes in so.
    #[arg(long, value_name = "ROLE")]
    default_role: Option<String>,
    /// Only if the one before is still at this `ETag`.
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
}

const COLUMNS: &[Column] = &[
    ("ISSUER", "/issuer"),
    ("CLIENT", "/client_id"),
    ("DOMAINS", "/email_domains"),
    ("DEFAULT ROLE", "/default_role"),
];

/// Runs the command.
pub(crate) async fn run(args: IdentityProviderArgs) -> Result<()> {
    let api = args.client.connect(Whose::Demo)?;
    let tenant = tenant_of(&api, args.tenant).await?;
    let path = ["tenants", &tenant, "identity-provider"];
    match args.command {
        IdentityProviderCommand::Show => {
            let provider = api.get(&path, &[]).await?;
            api.show(&provider, |provider| table::fields(provider, COLUMNS));
        }
        IdentityProviderCommand::Set(flags) => {
            let variable = &flags.client_secret_env;
            let secret = std::env::var(variable)
                .with_context(|| format!("put the client's secret into the variable {variable}"))?;
            let order = without_nulls(json!({
                "issuer": flags.issuer,
                "client_id": flags.client_id,
                "client_secret": secret,
                "email_domains": flags.email_domains,
                "default_role": flags.default_role,
            }));
            let etag = flags.if_match.as_deref();
            let set = api.send_if_match(Method::PUT, &path, Some(&order), etag);
            let provider = set.await?;
            api.show(&provider, |provider| table::fields(provider, COLUMNS));
        }
        IdentityProviderCommand::Remove { if_match } => {
            let removed = api.send_if_match(Method::DELETE, &path, None, if_match.as_deref());
            let nothing = removed.await?;
            api.show(&nothing, |_| {
                line(&format!("nobody signs in to {tenant} by a provider now"));
            });
        }
    }
    Ok(())
}
