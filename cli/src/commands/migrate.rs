//! `unity migrate`: the schema, and on request the logins.

use anyhow::{Context as _, Result, bail};
use unity_shared::{
    config::Settings,
    db::{LoginPasswords, create_logins, migrate},
};

use crate::args::MigrateFlags;

const APP_PASSWORD: &str = "UNITY_LOGIN_PASSWORD";
const PLATFORM_PASSWORD: &str = "UNITY_PLATFORM_LOGIN_PASSWORD";

pub(super) async fn run(settings: Settings, flags: MigrateFlags) -> Result<()> {
    let owner = Settings::require("owner_database_url", settings.owner_database_url.as_ref())?;
    migrate(owner.reveal())
        .await
        .with_context(|| format!("could not migrate the database at {}", owner.masked()))?;
    println!("the schema is up to date");
    if flags.create_logins {
        let passwords = LoginPasswords {
            app: password(APP_PASSWORD)?,
            platform: password(PLATFORM_PASSWORD)?,
        };
        if passwords.app == passwords.platform {
            bail!("{APP_PASSWORD} and {PLATFORM_PASSWORD} must differ");
        }
        let logins = create_logins(owner.reveal(), &passwords).await?;
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

fn password(variable: &str) -> Result<String> {
    let password = std::env::var(variable)
        .with_context(|| format!("set {variable} to the password of the login"))?;
    if password.len() < 16 || !password.bytes().all(|b| b.is_ascii_alphanumeric()) {
        bail!("{variable} must have at least 16 letters and digits, and nothing else");
    }
    Ok(password)
}
