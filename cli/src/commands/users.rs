//! `unity users`: what whoever holds an installation's database logins does with people.

use anyhow::{Result, bail};
use serde_json::json;
use unity_shared::{
    audit::{Action, AuditedObject, Author, Deed, record_for_platform},
    clock::Clock,
    config::Settings,
    db::Database,
    sessions::{NewPlatformAdmin, insert_platform_admin, set_user_disabled},
    tenancy::{generate_password, hash_password},
};

use super::COMMAND_LINE;
use crate::{args::UsersCommand, client::line, process::open_database};

pub(super) async fn run(settings: Settings, command: UsersCommand) -> Result<()> {
    let database = open_database(&settings).await?;
    let clock = Clock::system();
    match command {
        UsersCommand::CreateAdmin { email } => create_admin(&database, &clock, email).await,
        UsersCommand::Disable { email } => set_disabled(&database, &clock, &email, true).await,
        UsersCommand::Enable { email } => set_disabled(&database, &clock, &email, false).await,
    }
}

async fn create_admin(database: &Database, clock: &Clock, email: String) -> Result<()> {
    let is_address = (3..=254).contains(&email.len())
        && email.split('@').filter(|part| !part.is_empty()).count() == 2
        && !email.contains(|c: char| c.is_whitespace() || c.is_control());
    if !is_address {
        bail!("{email:?} is no address");
    }
    let password = generate_password();
    let admin = NewPlatformAdmin {
        password_hash: hash_password(&password)?,
        email,
    };
    let mut tx = database.operator().begin().await?;
    let now = clock.now();
    let is_new = insert_platform_admin(&mut tx, &admin, now).await?;
    let deed = told(Action::USER_CREATE_ADMIN, &admin.email);
    record_for_platform(&mut tx, &Author::system(COMMAND_LINE), None, &deed, now).await?;
    tx.commit().await?;
    if is_new {
        line(&password);
    } else {
        line(&format!(
            "{} is known and keeps their password",
            admin.email
        ));
    }
    Ok(())
}

async fn set_disabled(
    database: &Database,
    clock: &Clock,
    email: &str,
    is_disabled: bool,
) -> Result<()> {
    let (action, state) = if is_disabled {
        (Action::USER_DISABLE, "is kept out")
    } else {
        (Action::USER_ENABLE, "may log in")
    };
    let now = clock.now();
    let mut tx = database.operator().begin().await?;
    if !set_user_disabled(&mut tx, email, is_disabled.then_some(now)).await? {
        bail!("nobody is known as {email}");
    }
    let author = Author::system(COMMAND_LINE);
    record_for_platform(&mut tx, &author, None, &told(action, email), now).await?;
    tx.commit().await?;
    line(&format!("{email} {state}"));
    Ok(())
}

/// People are known by their addresses here.
fn told(action: Action, email: &str) -> Deed {
    Deed::done(
        action,
        AuditedObject::several("user"),
        json!({ "email": email }),
    )
}
