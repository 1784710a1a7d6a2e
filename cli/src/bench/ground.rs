//! What is measured on: PostgreSQL and Redis, private or given, and on them a database and a Redis
//! prefix for each repetition, so that none finds what another left.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
    str::FromStr as _,
    sync::{Mutex, PoisonError},
};

use anyhow::{Context as _, Result};
use serde_json::{Map, Value, json};
use sqlx::{
    AssertSqlSafe, ConnectOptions as _, PgConnection, Row as _, postgres::PgConnectOptions,
};
use unity_shared::{
    db::{LoginPasswords, connection_url, create_logins, migrate},
    tenancy::random_base62,
};

use super::{resp::Redis, say};
use crate::{
    args::BenchFlags,
    servers::{TemporaryOptions, TemporaryServers, find_or_install},
};

/// Servers to measure on.
pub(super) struct Ground {
    owner: PgConnectOptions,
    redis_url: String,
    /// Databases that are to go.
    databases: Mutex<Vec<String>>,
    folder: PathBuf,
    // Last: stopped and removed after everything else.
    private: Option<Mutex<TemporaryServers>>,
    _temporary: Option<tempfile::TempDir>,
}

/// A database, migrated and empty, and where to reach it.
pub(super) struct Site {
    /// The database's name, and the prefix of its keys in Redis.
    pub(super) name: String,
    /// As the owner of the schema, who sees every row.
    pub(super) owner: PgConnectOptions,
    pub(super) app_url: String,
    pub(super) platform_url: String,
}

/// Unity's processes have four pools of ten each; the limits of the machine are taken with 32.
const MAX_CONNECTIONS: u32 = 300;

/// Of each log that is shown.
const LOG_LINES: usize = 5;

impl Ground {
    /// Starts what is not given.
    pub(super) async fn prepare(flags: &BenchFlags) -> Result<Self> {
        let given = (flags.database_url.clone(), flags.redis_url.clone());
        let private = match given {
            (Some(_), Some(_)) => None,
            _ => Some(tokio::task::spawn_blocking(start_private).await??),
        };
        let temporary = match private {
            Some(_) => None,
            None => Some(tempfile::tempdir().context("could not make a temporary folder")?),
        };
        let folder = match (&private, &temporary) {
            (Some(servers), _) => servers.folder().to_owned(),
            (None, Some(folder)) => folder.path().to_owned(),
            (None, None) => std::env::temp_dir(),
        };
        let of_private = |url: fn(&TemporaryServers) -> String| private.as_ref().map(url);
        let owner = given
            .0
            .or_else(|| of_private(|servers| servers.postgres().superuser_url()))
            .context("no PostgreSQL was started and none was given")?;
        let redis_url = given
            .1
            .or_else(|| of_private(|servers| servers.redis().url()))
            .context("no Redis was started and none was given")?;
        let owner = PgConnectOptions::from_str(&owner).context("--database-url is not a URL")?;
        Ok(Self {
            owner,
            redis_url,
            databases: Mutex::default(),
            folder,
            private: private.map(Mutex::new),
            _temporary: temporary,
        })
    }

    /// A connection to Redis.
    pub(super) async fn redis(&self) -> Result<Redis> {
        Redis::connect(&self.redis_url).await
    }

    pub(super) fn redis_url(&self) -> &str {
        &self.redis_url
    }

    /// Where processes keep their settings and logs.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The last lines of the logs of processes that were not stopped in order. They are told once.
    pub(super) fn take_logs(&self) -> String {
        let mut text = String::new();
        for entry in std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
        {
            let path = entry.path();
            if path.extension().is_none_or(|end| end != "log") {
                continue;
            }
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            let name = entry.file_name();
            let lines = log.lines().rev().take(LOG_LINES).collect::<Vec<_>>();
            for line in lines.into_iter().rev() {
                let _ = writeln!(text, "{}: {line}", name.to_string_lossy());
            }
            let _gone_already = std::fs::remove_file(path);
        }
        text
    }

    /// A database of its own. It goes with [`Ground::clear`], or at the latest with
    /// [`Ground::leave`].
    pub(super) async fn site(&self) -> Result<Site> {
        let name = format!("unity_bench_{:08x}", rand::random::<u32>());
        let mut connection = self.connect().await?;
        let lock = || {
            self.databases
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        lock().push(name.clone());
        execute(&mut connection, &format!("CREATE DATABASE {name}")).await?;
        // What the last repetition wrote is on the disk before the next one is measured. Only
        // superusers may ask for it.
        let _not_allowed = execute(&mut connection, "CHECKPOINT").await;
        let owner = self.owner.clone().database(&name);
        let url = connection_url(&owner);
        migrate(&url).await.context("could not migrate")?;
        let passwords = LoginPasswords {
            app: random_base62(32),
            platform: random_base62(32),
        };
        let logins = create_logins(&url, &passwords).await?;
        Ok(Site {
            name,
            owner,
            app_url: logins.app,
            platform_url: logins.platform,
        })
    }

    /// Removes a site from both servers. Nobody may use it any more.
    pub(super) async fn clear(&self, name: &str) -> Result<()> {
        self.redis().await?.remove_keys(name).await?;
        let mut connection = self.connect().await?;
        let drop_it = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        execute(&mut connection, &drop_it).await?;
        for login in ["login_app", "login_platform"] {
            execute(
                &mut connection,
                &format!("DROP ROLE IF EXISTS {name}_{login}"),
            )
            .await?;
        }
        let mut databases = self
            .databases
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        databases.retain(|database| database != name);
        Ok(())
    }

    /// Removes what is left on given servers; private ones go with everything on them.
    pub(super) async fn leave(self) -> Result<()> {
        if self.private.is_none() {
            let left = self.databases.lock().map(|names| names.clone());
            for name in left.unwrap_or_default() {
                self.clear(&name).await?;
            }
        }
        // The servers' drop waits until they have stopped.
        tokio::task::spawn_blocking(move || drop(self)).await?;
        Ok(())
    }

    /// What every figure's reader wants to know of the servers.
    pub(super) async fn facts(&self) -> Result<Map<String, Value>> {
        let mut connection = self.connect().await?;
        let mut facts = Map::new();
        for (name, setting) in [
            ("postgresql", "server_version"),
            ("fsync", "fsync"),
            ("synchronous_commit", "synchronous_commit"),
            ("jit", "jit"),
        ] {
            let row = sqlx::query("SELECT current_setting($1)")
                .bind(setting)
                .fetch_one(&mut connection)
                .await?;
            facts.insert(name.to_owned(), json!(row.try_get::<String, _>(0)?));
        }
        let mut redis = self.redis().await?;
        facts.insert("redis".to_owned(), json!(redis.version().await?));
        facts.insert("appendonly".to_owned(), json!(redis.append_only().await?));
        facts.insert("private_servers".to_owned(), json!(self.private.is_some()));
        Ok(facts)
    }

    /// The heads of the servers' processes, where they are ours.
    pub(super) fn server_pids(&self) -> Option<(u32, u32)> {
        let servers = self.private.as_ref()?;
        let servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
        Some((servers.postgres().pid(), servers.redis().pid()))
    }

    /// Kills a Redis that is ours and starts it again, on its data and at its address.
    pub(super) fn restart_redis(&self) -> Result<()> {
        let servers = self.private.as_ref().context("Redis is not ours")?;
        tokio::task::block_in_place(|| {
            let programs = find_or_install(&say)?;
            let mut servers = servers.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(servers.restart_redis(&programs)?)
        })
    }

    /// Transactions that were ended in a database since it was made, as far as they have been
    /// reported: busy sessions do so once a second, others when they have rested for ten.
    pub(super) async fn transactions(&self, name: &str) -> Result<i64> {
        let mut connection = self.connect().await?;
        let count = sqlx::query_scalar!(
            r#"SELECT xact_commit + xact_rollback AS "ended!" FROM pg_stat_database
               WHERE datname = $1"#,
            name
        )
        .fetch_one(&mut connection)
        .await?;
        Ok(count)
    }

    async fn connect(&self) -> Result<PgConnection> {
        let connecting = self.owner.connect().await;
        connecting.context("could not connect to PostgreSQL as the owner")
    }
}

fn start_private() -> Result<TemporaryServers> {
    let programs = find_or_install(&say)?;
    let options = TemporaryOptions {
        durable: true,
        max_connections: MAX_CONNECTIONS,
    };
    Ok(TemporaryServers::start_with(&programs, options)?)
}

/// A statement without parameters, of text that is ours.
pub(super) async fn execute(connection: &mut PgConnection, statement: &str) -> Result<()> {
    sqlx::raw_sql(AssertSqlSafe(statement.to_owned()))
        .execute(connection)
        .await
        .with_context(|| format!("PostgreSQL refused: {statement}"))?;
    Ok(())
}
