//! `unity keys`: the first keys of an installation, made by whoever holds its database logins.

use anyhow::{Context as _, Result, bail};
use unity_shared::{
    clock::Clock,
    config::Settings,
    db::Database,
    ids::TenantId,
    tenancy::{ApiKey, Role, insert_api_key},
};

use crate::{args::KeysCommand, process::open_database};

pub(super) async fn run(settings: Settings, command: KeysCommand) -> Result<()> {
    let KeysCommand::Create { role, tenant, name } = command;
    let tenant = tenant
        .map(|text| {
            TenantId::parse(&text).with_context(|| format!("the tenant id {text:?} is wrong"))
        })
        .transpose()?;
    if (role == Role::SystemAdmin) != tenant.is_none() {
        bail!("a system-admin key has no --tenant, every other key needs one");
    }
    let database = open_database(&settings).await?;
    let key = create_key(&database, &Clock::system(), tenant.as_ref(), role, &name).await?;
    println!("{}", key.reveal());
    Ok(())
}

/// Makes a key and stores its hash. The key is in the answer and nowhere else.
pub async fn create_key(
    database: &Database,
    clock: &Clock,
    tenant: Option<&TenantId>,
    role: Role,
    name: &str,
) -> Result<ApiKey> {
    let key = ApiKey::generate(tenant);
    let mut tx = database.operator().begin().await?;
    insert_api_key(&mut tx, tenant, role, name, &key, clock.now())
        .await
        .context("could not store the key (does the tenant exist?)")?;
    tx.commit().await?;
    Ok(key)
}
