//! Brings the schema up to this binary's version.

use std::str::FromStr;

use sqlx::{ConnectOptions, migrate::Migrator, postgres::PgConnectOptions};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database does not answer, or the URL is wrong.
    #[error("could not connect as the owner of the database")]
    Connect(#[source] sqlx::Error),
    /// A migration failed, or the database is newer than this binary.
    #[error("could not apply the migrations")]
    Apply(#[source] sqlx::migrate::MigrateError),
}

/// Applies every migration that the database lacks, as the role in `owner_url`. Safe to run from
/// several processes at once: an advisory lock lets one go first, the others find nothing to do.
pub async fn migrate(owner_url: &str) -> Result<(), MigrateError> {
    let mut connection = PgConnectOptions::from_str(owner_url)
        .map_err(MigrateError::Connect)?
        .application_name("unity-migrate")
        .connect()
        .await
        .map_err(MigrateError::Connect)?;
    MIGRATOR
        .run(&mut connection)
        .await
        .map_err(MigrateError::Apply)
}
