//! `unity users`: the people who manage the platform, made by whoever holds its database logins.

use anyhow::{Result, bail};
use unity_shared::{
    clock::Clock,
    config::Settings,
    sessions::{NewPlatformAdmin, insert_platform_admin},
    tenancy::{generate_password, hash_password},
};

use crate::{args::UsersCommand, client::line, process::open_database};

pub(super) async fn run(settings: Settings, command: UsersCommand) -> Result<()> {
    let UsersCommand::CreateAdmin { email } = command;
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
    let database = open_database(&settings).await?;
    let mut tx = database.operator().begin().await?;
    let is_new = insert_platform_admin(&mut tx, &admin, Clock::system().now()).await?;
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
