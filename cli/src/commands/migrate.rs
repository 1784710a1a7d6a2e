//! `unity migrate`: the schema, and on request the logins.

use anyhow::{Context as _, Result, bail};
use unity_shared::{
    config::Settings,
    db::{create_logins, migrate},
};

use crate::args::MigrateFlags;

const PASSWORD_VARIABLE: &str = "UNITY_LOGIN_PASSWORD";

pub(super) async fn run(settings: Settings, flags: MigrateFlags) -> Result<()> {
    let owner = Settings::require("owner_database_url", settings.owner_database_url.as_ref())?;
    migrate(owner.reveal())
        .await
        .with_context(|| format!("could not migrate the database at {}", owner.masked()))?;
    println!("the schema is up to date");
    if flags.create_logins {
        let password = std::env::var(PASSWORD_VARIABLE)
            .with_context(|| format!("set {PASSWORD_VARIABLE} to the password of the logins"))?;
        if password.len() < 16 || !password.bytes().all(|b| b.is_ascii_alphanumeric()) {
            bail!("{PASSWORD_VARIABLE} must have at least 16 letters and digits, and nothing else");
        }
        let logins = create_logins(owner.reveal(), &password).await?;
        println!(
            "database_url          = {}",
            unity_shared::config::Secret::new(logins.app).masked()
        );
        println!(
            "platform_database_url = {}",
            unity_shared::config::Secret::new(logins.platform).masked()
        );
    }
    Ok(())
}
