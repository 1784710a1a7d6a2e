//! `unity users`: what whoever holds an installation's database logins does with people.

use anyhow::{Result, bail};
use unity_shared::{
    clock::Clock,
    config::Settings,
    db::Database,
    sessions::{NewPlatformAdmin, insert_platform_admin, set_user_disabled},
    tenancy::{generate_password, hash_password},
};

use crate::{args::UsersCommand, client::line, process::open_database};

pub(super) async fn run(settings: Settings, command: UsersCommand) -> Result<()> {
    let database = open_database(&settings).await?;
    let clock = Clock::system();
    match command {
        UsersCommand::CreateAdmin { email } => create_admin(&database, &clock, email).await,
        UsersCommand::Disable { email } => set_disabled(&database, &email, Some(&clock)).await,
        UsersCommand::Enable { email } => set_disabled(&database, &email, None).await,
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
    let is_new = insert_platform_admin(&mut tx, &admin, clock.now()).await?;
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

async fn set_disabled(database: &Database, email: &str, since: Option<&Clock>) -> Result<()> {
    let mut tx = database.operator().begin().await?;
    let is_known = set_user_disabled(&mut tx, email, since.map(Clock::now)).await?;
    tx.commit().await?;
    if !is_known {
        bail!("nobody is known as {email}");
    }
    let state = since.map_or("may log in", |_| "is kept out");
    line(&format!("{email} {state}"));
    Ok(())
}
