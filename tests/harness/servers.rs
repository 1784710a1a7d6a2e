//! One PostgreSQL and one Redis for the whole test run, and a migrated template to copy databases
//! from.

use std::{
    str::FromStr,
    sync::{Mutex, OnceLock, PoisonError},
};

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use unity_cli::servers::{TemporaryServers, find_or_install};
use unity_shared::db::{LoginPasswords, LoginUrls, connection_url, create_logins, migrate};

/// The servers of this run.
pub struct Servers {
    pair: TemporaryServers,
    logins: LoginUrls,
    copying: tokio::sync::Mutex<()>,
}

const TEMPLATE: &str = "unity_template";
static SERVERS: OnceLock<Servers> = OnceLock::new();
static STARTING: Mutex<()> = Mutex::new(());

/// Starts them at the first call. They stop when the test process ends, however it ends.
pub async fn servers() -> &'static Servers {
    tokio::task::spawn_blocking(|| {
        let _one_at_a_time = STARTING.lock().unwrap_or_else(PoisonError::into_inner);
        SERVERS.get_or_init(start)
    })
    .await
    .unwrap()
}

fn start() -> Servers {
    if let Ok(filter) = std::env::var("UNITY_TEST_LOG") {
        unity_shared::telemetry::start_logging(unity_shared::config::LogFormat::Text, &filter)
            .unwrap();
    }
    let programs = find_or_install(&|text| eprintln!("{text}")).unwrap();
    let pair = TemporaryServers::start(&programs).unwrap();
    let superuser = pair.postgres().superuser_url();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let logins = runtime.block_on(async {
        let mut connection = connect(&superuser).await;
        sqlx::raw_sql("CREATE DATABASE unity_template")
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let template = database_url_of(&superuser, TEMPLATE);
        migrate(&template).await.unwrap();
        let passwords = LoginPasswords {
            app: "0123456789abcdefghij".to_owned(),
            platform: "jihgfedcba9876543210".to_owned(),
        };
        create_logins(&template, &passwords).await.unwrap()
    });
    Servers {
        pair,
        logins,
        copying: tokio::sync::Mutex::default(),
    }
}

impl Servers {
    /// A fresh migrated database.
    pub async fn create_database(&self, name: &str) {
        // PostgreSQL copies a template only while nobody else uses it.
        let _copying = self.copying.lock().await;
        let mut connection = connect(&self.pair.postgres().superuser_url()).await;
        // What is granted on a database itself, as the migrations do, is no part of its copies.
        for statement in [
            format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}"),
            format!("REVOKE TEMPORARY ON DATABASE {name} FROM PUBLIC"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(&mut connection)
                .await
                .unwrap();
        }
        connection.close().await.unwrap();
    }

    pub async fn drop_database(&self, name: &str) {
        let mut connection = connect(&self.pair.postgres().superuser_url()).await;
        let statement = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
    }

    pub fn app_url(&self, database: &str) -> String {
        database_url_of(&self.logins.app, database)
    }

    pub fn platform_url(&self, database: &str) -> String {
        database_url_of(&self.logins.platform, database)
    }

    pub fn owner_url(&self, database: &str) -> String {
        database_url_of(&self.pair.postgres().superuser_url(), database)
    }

    pub fn redis_url(&self) -> String {
        self.pair.redis().url()
    }
}

async fn connect(url: &str) -> PgConnection {
    PgConnectOptions::from_str(url)
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// The same URL for another database.
fn database_url_of(url: &str, database: &str) -> String {
    connection_url(&PgConnectOptions::from_str(url).unwrap().database(database))
}
