//! The two login roles of one installation.
//!
//! Roles belong to the whole PostgreSQL server, databases do not: the logins carry the database's
//! name, so that two installations on one server do not share a password.

use std::str::FromStr;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};

use super::{Authenticator, Duty, Engine, Issuer, Operator, Purger, Registrar};

/// Connection URLs of the two logins.
#[derive(Debug, Clone)]
pub struct LoginUrls {
    /// Member of `unity_app`.
    pub app: String,
    /// Member of the duty roles, inheriting from none: it acts as one of them at a time.
    pub platform: String,
}

/// Why the logins could not be made.
#[derive(Debug, thiserror::Error)]
pub enum RolesError {
    /// The database does not answer, or the URL is wrong.
    #[error("could not connect as the owner of the database")]
    Connect(#[source] sqlx::Error),
    /// The owner may not create roles, or another statement was refused.
    #[error("could not create the login role {role} (the owner needs the CREATEROLE attribute)")]
    Create {
        /// The login being made.
        role: String,
        /// The driver's error.
        #[source]
        source: sqlx::Error,
    },
}

/// The passwords of the two logins: random, of the base62 alphabet, and not the same, or whoever has the one
/// has the other.
#[derive(Debug, Clone)]
pub struct LoginPasswords {
    /// Of the application's login.
    pub app: String,
    /// Of the platform's login.
    pub platform: String,
}

/// Creates the logins `{database}_login_app` and `{database}_login_platform` where they are missing, sets
/// their passwords, and answers their URLs. Run it after [`super::migrate`], which makes the
/// groups.
pub async fn create_logins(
    owner_url: &str,
    passwords: &LoginPasswords,
) -> Result<LoginUrls, RolesError> {
    let owner = PgConnectOptions::from_str(owner_url).map_err(RolesError::Connect)?;
    let mut connection = owner.connect().await.map_err(RolesError::Connect)?;
    let database: String = sqlx::query_scalar("SELECT current_database()")
        .fetch_one(&mut connection)
        .await
        .map_err(RolesError::Connect)?;
    let app = format!("{database}_login_app");
    let platform = format!("{database}_login_platform");
    let duties = [
        Authenticator::ROLE,
        Engine::ROLE,
        Issuer::ROLE,
        Operator::ROLE,
        Purger::ROLE,
        Registrar::ROLE,
    ];
    let LoginPasswords {
        app: app_password,
        platform: platform_password,
    } = passwords;
    let groups = ["unity_app"];
    create_login(&mut connection, &app, "INHERIT", app_password, &groups).await?;
    create_login(
        &mut connection,
        &platform,
        "NOINHERIT",
        platform_password,
        &duties,
    )
    .await?;
    let _ = connection.close().await;
    let url = |role: &str, password: &str| {
        connection_url(&owner.clone().username(role).password(password))
    };
    Ok(LoginUrls {
        app: url(&app, app_password),
        platform: url(&platform, platform_password),
    })
}

/// The URL of a connection, as any PostgreSQL client reads it: without the driver's own parameters.
#[must_use]
pub fn connection_url(options: &PgConnectOptions) -> String {
    let mut url = options.to_url_lossy();
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| name != "statement-cache-capacity")
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut().clear().extend_pairs(kept);
    url.to_string()
}

async fn create_login(
    connection: &mut PgConnection,
    role: &str,
    inherit: &str,
    password: &str,
    groups: &[&str],
) -> Result<(), RolesError> {
    // One block: two processes that set up the same database at once both succeed.
    let statement = format!(
        "DO $unity$
         DECLARE login text := {login}; secret text := {secret}; member_of text;
         BEGIN
             IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = login) THEN
                 BEGIN
                     EXECUTE format('CREATE ROLE %I', login);
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
                 END;
             END IF;
             EXECUTE format('ALTER ROLE %I LOGIN {inherit} PASSWORD %L', login, secret);
             FOREACH member_of IN ARRAY ARRAY[{groups}] LOOP
                 EXECUTE format('GRANT %I TO %I', member_of, login);
             END LOOP;
         END $unity$",
        login = quote_literal(role),
        secret = quote_literal(password),
        groups = groups
            .iter()
            .map(|group| quote_literal(group))
            .collect::<Vec<_>>()
            .join(", "),
    );
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(connection)
        .await
        .map_err(|source| RolesError::Create {
            role: role.to_owned(),
            source,
        })?;
    Ok(())
}

/// A string constant as PostgreSQL reads it with `standard_conforming_strings` on (the default).
fn quote_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_url_holds_nothing_that_other_clients_refuse() {
        let url = "postgres://app:secret@127.0.0.1:5432/unity?sslmode=require";
        let options = PgConnectOptions::from_str(url).unwrap();
        assert_eq!(connection_url(&options), url);
    }

    #[test]
    fn a_quote_in_a_name_cannot_end_the_literal() {
        assert_eq!(quote_literal("o'brien"), "'o''brien'");
    }
}
