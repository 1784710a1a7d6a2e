//! `unity keys`.

use anyhow::Result;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Value, json};
use unity_shared::tenancy::Role;

use super::{
    connection::{ClientFlags, Whose},
    jobs::without_nulls,
    members::page_query,
    table::{self, Column, line},
};

/// `unity keys ...`
#[derive(Debug, clap::Args)]
pub struct KeysArgs {
    #[command(flatten)]
    client: ClientFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: KeysCommand,
}

/// What can be done with keys.
#[derive(Debug, Clone, Subcommand)]
pub enum KeysCommand {
    /// Makes a key and prints it, once. With `--role system-admin` or `--tenant` it is written into the
    /// database of the settings, which is how the first key is made; else it is asked for over the API,
    /// for the tenant of the key that asks.
    Create(CreateFlags),
    /// Lists the keys of one's tenant, or of the platform.
    List {
        /// Keys of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
    /// Shows a key, not what it is: that was shown once.
    Show {
        /// The key.
        id: String,
    },
    /// Revokes a key. It is refused within two seconds.
    Revoke {
        /// The key.
        id: String,
    },
    /// Makes the next key that signs access tokens, in the database of the settings. It is published for
    /// ten minutes before it signs; the one before is trusted until its last token has ended.
    Rotate {
        /// It signs now, and every other is trusted no more: for a key that was stolen. Whoever is
        /// logged in has to refresh.
        #[arg(long)]
        at_once: bool,
    },
}

/// Flags of `unity keys create`.
#[derive(Debug, Clone, clap::Args)]
pub struct CreateFlags {
    /// What the key may do.
    #[arg(long, value_parser = role)]
    pub role: Option<Role>,
    /// The tenant it belongs to, in the database; none for system-admin.
    #[arg(long, value_name = "ID")]
    pub tenant: Option<String>,
    /// What people call it.
    #[arg(long, default_value = "command line")]
    pub name: String,
    /// What it is confined to, for example `jobs:read`; may be repeated. Over the API only.
    #[arg(long = "scope", value_name = "SCOPE", conflicts_with = "tenant")]
    scopes: Vec<String>,
    /// When it ends by itself (RFC 3339). Over the API only.
    #[arg(long, value_name = "TIME", conflicts_with = "tenant")]
    expires_at: Option<DateTime<Utc>>,
    /// Requests a second that it may make. Over the API only.
    #[arg(long, value_name = "N", conflicts_with = "tenant")]
    rate_limit: Option<u32>,
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("NAME", "/name"),
    ("PREFIX", "/prefix"),
    ("ROLE", "/role"),
    ("SCOPES", "/scopes"),
    ("EXPIRES", "/expires_at"),
    ("LAST USED", "/last_used_at"),
    ("REVOKED", "/revoked_at"),
];

impl CreateFlags {
    /// Whether the key is written into the database: there may be no key yet to ask with.
    pub(crate) fn is_for_database(&self) -> bool {
        self.tenant.is_some() || self.role == Some(Role::SystemAdmin)
    }

    fn order(self) -> Value {
        let Self {
            role,
            tenant: _,
            name,
            scopes,
            expires_at,
            rate_limit,
        } = self;
        without_nulls(json!({
            "name": name,
            "role": role,
            "scopes": (!scopes.is_empty()).then_some(scopes),
            "expires_at": expires_at,
            "rate_limit_per_second": rate_limit,
        }))
    }
}

/// Asks for a key over the API and prints it.
pub(crate) async fn create(client: &ClientFlags, flags: CreateFlags) -> Result<()> {
    let api = client.connect(Whose::Demo)?;
    let created = api
        .send(Method::POST, &["api-keys"], &flags.order())
        .await?;
    api.show(&created, |created| {
        line(
            created
                .get("api_key")
                .and_then(Value::as_str)
                .unwrap_or_default(),
        );
    });
    Ok(())
}

/// Lists keys.
pub(crate) async fn list(
    client: &ClientFlags,
    limit: Option<u32>,
    page_token: Option<String>,
) -> Result<()> {
    let api = client.connect(Whose::Demo)?;
    let page = api
        .get(&["api-keys"], &page_query(limit, page_token))
        .await?;
    api.show(&page, |page| table::page(page, COLUMNS));
    Ok(())
}

/// Shows a key.
pub(crate) async fn show(client: &ClientFlags, id: &str) -> Result<()> {
    let api = client.connect(Whose::Demo)?;
    let key = api.get(&["api-keys", id], &[]).await?;
    api.show(&key, |key| table::fields(key, COLUMNS));
    Ok(())
}

/// Revokes a key.
pub(crate) async fn revoke(client: &ClientFlags, id: &str) -> Result<()> {
    let api = client.connect(Whose::Demo)?;
    let nothing = api
        .call_without_body(Method::DELETE, &["api-keys", id])
        .await?;
    api.show(&nothing, |_| line(&format!("{id} is revoked")));
    Ok(())
}

impl KeysArgs {
    /// Where the API is.
    pub(crate) const fn client(&self) -> &ClientFlags {
        &self.client
    }
}

fn role(text: &str) -> Result<Role, String> {
    serde_json::from_value(Value::from(text)).map_err(|_| {
        "must be system-admin, tenant-admin, tenant-member or tenant-viewer".to_owned()
    })
}
