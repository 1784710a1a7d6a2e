//! `unity keys`: over the API what it can do, and in the database what comes before any API key: the
//! first keys of an installation, and the keys that sign tokens.

use anyhow::{Context as _, Result, bail};
use chrono::SecondsFormat;
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    clock::Clock,
    config::Settings,
    db::Database,
    ids::TenantId,
    sessions::{Rotation, SealingKey, rotate_signing_keys},
    tenancy::{ApiKey, Role, insert_api_key},
};

use super::{COMMAND_LINE, runtime, with_runtime};
use crate::{
    args::GlobalFlags,
    client::{self, CreateFlags, KeysArgs, KeysCommand, line},
    process::open_database,
};

pub(super) fn run(global: &GlobalFlags, args: &KeysArgs) -> Result<()> {
    match args.command.clone() {
        KeysCommand::Create(flags) if flags.is_for_database() => {
            with_runtime(&global.settings(&())?, |settings| {
                create_in_database(settings, flags)
            })
        }
        KeysCommand::Create(flags) => runtime()?.block_on(client::create_key(args.client(), flags)),
        KeysCommand::List { limit, page_token } => {
            runtime()?.block_on(client::list_keys(args.client(), limit, page_token))
        }
        KeysCommand::Show { id } => runtime()?.block_on(client::show_key(args.client(), &id)),
        KeysCommand::Revoke { id } => runtime()?.block_on(client::revoke_key(args.client(), &id)),
        KeysCommand::Rotate { at_once } => {
            with_runtime(&global.settings(&())?, |settings| rotate(settings, at_once))
        }
    }
}

async fn create_in_database(settings: Settings, flags: CreateFlags) -> Result<()> {
    let tenant = flags
        .tenant
        .map(|text| {
            TenantId::parse(&text).with_context(|| format!("the tenant id {text:?} is wrong"))
        })
        .transpose()?;
    let role = flags.role.unwrap_or(Role::TenantMember);
    if (role == Role::SystemAdmin) != tenant.is_none() {
        bail!("a system-admin key has no --tenant, every other key needs one");
    }
    let database = open_database(&settings).await?;
    let (clock, name) = (Clock::system(), flags.name);
    let key = create_key(&database, &clock, tenant.as_ref(), role, &name).await?;
    line(key.reveal());
    Ok(())
}

async fn rotate(settings: Settings, at_once: bool) -> Result<()> {
    let secret = Settings::require("secret_key", settings.secret_key.as_ref())?;
    let rotation = if at_once {
        Rotation::AtOnce
    } else {
        Rotation::Graceful
    };
    let database = open_database(&settings).await?;
    let clock = Clock::system();
    database.align_clock(&clock).await?;
    let mut tx = database.issuer().begin().await?;
    let now = clock.now();
    let key = rotate_signing_keys(&mut tx, &SealingKey::new(secret), rotation, now).await?;
    let deed = Deed::done(
        Action::SIGNING_KEY_ROTATE,
        AuditedObject::one("signing_key", &key.id),
        json!({ "at_once": at_once }),
    );
    record_for_platform(&mut tx, &Author::system(COMMAND_LINE), None, &deed, now).await?;
    tx.commit().await?;
    let from = key.signs_from.to_rfc3339_opts(SecondsFormat::Secs, true);
    line(&format!("{} signs from {from}", key.id));
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
    let now = clock.now();
    insert_api_key(&mut tx, tenant, role, name, &key, now)
        .await
        .context("could not store the key (does the tenant exist?)")?;
    let deed = Deed::done(
        Action::API_KEY_CREATE,
        AuditedObject::several("api_key"),
        json!({ "name": name, "role": role, "prefix": key.display_prefix() }),
    );
    record_for_platform(&mut tx, &Author::system(COMMAND_LINE), tenant, &deed, now).await?;
    tx.commit().await?;
    Ok(key)
}
