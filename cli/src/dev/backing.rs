//! What the stack stands on: PostgreSQL, Redis and a cluster, each given or private.

use std::{fmt::Write as _, path::Path, str::FromStr as _};

use anyhow::{Context as _, Result, anyhow};
use sha2::{Digest as _, Sha256};
use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use unity_shared::{
    config::{Secret, Settings},
    db::{LoginPasswords, connection_url, create_logins, migrate},
};
use unity_simulator::{Simulator, SimulatorConfig};

use super::{
    folder::{Folder, write_private},
    show,
};
use crate::{
    args::DevFlags,
    servers::{
        PostgresOptions, PrivatePostgres, PrivateRedis, Programs, RedisOptions, find_or_install,
    },
};

/// The servers that this process started; what was given is not ours to stop.
#[derive(Default)]
pub(super) struct Backing {
    postgres: Option<PrivatePostgres>,
    redis: Option<PrivateRedis>,
    simulator: Option<Simulator>,
}

/// The database that `unity dev` keeps its tables in, on a private server.
const DATABASE: &str = "unity";

impl Backing {
    /// Starts what is not given and completes the settings with where everything is. On an error
    /// everything that was started stops again.
    pub(super) async fn start(
        settings: &mut Settings,
        flags: &DevFlags,
        folder: &Folder,
    ) -> Result<Self> {
        let mut backing = Self::default();
        backing.start_servers(settings, folder).await?;
        prepare_database(settings).await?;
        backing.start_cluster(settings, flags, folder).await?;
        Ok(backing)
    }

    async fn start_servers(&mut self, settings: &mut Settings, folder: &Folder) -> Result<()> {
        let given_postgres = settings.database_url.take();
        let given_redis = settings.redis_url.take();
        let data_dir = folder.path().to_owned();
        let (want_postgres, want_redis) = (given_postgres.is_none(), given_redis.is_none());
        let (postgres, redis) = if want_postgres || want_redis {
            let starting = move || start_private(&data_dir, want_postgres, want_redis);
            tokio::task::spawn_blocking(starting).await??
        } else {
            (None, None)
        };
        let owner = match (&postgres, given_postgres) {
            (Some(server), _) => create_database(&server.superuser_url()).await?,
            (None, Some(given)) => given,
            (None, None) => return Err(anyhow!("no PostgreSQL was started and none was given")),
        };
        settings.owner_database_url = Some(owner);
        settings.redis_url = redis
            .as_ref()
            .map(|server| Secret::new(server.url()))
            .or(given_redis);
        self.postgres = postgres;
        self.redis = redis;
        Ok(())
    }

    async fn start_cluster(
        &mut self,
        settings: &mut Settings,
        flags: &DevFlags,
        folder: &Folder,
    ) -> Result<()> {
        if let Some(path) = &flags.kubeconfig {
            let path = std::fs::canonicalize(path)
                .with_context(|| format!("could not find the kubeconfig {}", path.display()))?;
            settings.kubeconfig = Some(path);
            settings.kube_context.clone_from(&flags.context);
            return Ok(());
        }
        let config = SimulatorConfig {
            listen: ([127, 0, 0, 1], 0).into(),
            state_file: Some(folder.cluster_state()),
            token: None,
        };
        let simulator = Simulator::start(config)
            .await
            .context("could not start the simulated cluster")?;
        write_private(&folder.kubeconfig(), simulator.kubeconfig().as_bytes())?;
        settings.kubeconfig = Some(folder.kubeconfig());
        settings.kube_context = None;
        show::line(&format!("simulated cluster at {}", simulator.url()));
        self.simulator = Some(simulator);
        Ok(())
    }

    /// The private server that has ended although nobody asked it to.
    pub(super) fn ended_server(&mut self) -> Option<&'static str> {
        if self
            .postgres
            .as_mut()
            .is_some_and(|server| server.has_ended().unwrap_or(true))
        {
            return Some("PostgreSQL");
        }
        if self
            .redis
            .as_mut()
            .is_some_and(|server| server.has_ended().unwrap_or(true))
        {
            return Some("Redis");
        }
        None
    }

    /// Stops what was started: the cluster first, the record last.
    pub(super) async fn stop(self) {
        let Self {
            postgres,
            redis,
            simulator,
        } = self;
        if let Some(simulator) = simulator {
            simulator.shutdown().await;
        }
        let stopping = tokio::task::spawn_blocking(move || {
            let redis = redis.map(PrivateRedis::stop);
            let postgres = postgres.map(PrivatePostgres::stop);
            for stopped in [redis, postgres].into_iter().flatten() {
                if let Err(error) = stopped {
                    tracing::error!(
                        error = unity_shared::telemetry::chain(&error),
                        "server did not stop"
                    );
                }
            }
        });
        if stopping.await.is_err() {
            tracing::error!("stopping the servers failed");
        }
    }
}

type Private = (Option<PrivatePostgres>, Option<PrivateRedis>);

fn start_private(data_dir: &Path, postgres: bool, redis: bool) -> Result<Private> {
    let programs: Programs = find_or_install(&show::line)?;
    let postgres = postgres
        .then(|| {
            let options = PostgresOptions {
                durable: true,
                max_connections: 300,
            };
            PrivatePostgres::start(&programs, data_dir, options)
        })
        .transpose()?;
    if let Some(server) = &postgres {
        show::line(&format!("PostgreSQL on port {}", server.port()));
    }
    let redis = redis
        .then(|| PrivateRedis::start(&programs, data_dir, RedisOptions { persist: true }))
        .transpose()?;
    if let Some(server) = &redis {
        show::line(&format!("Redis on port {}", server.port()));
    }
    Ok((postgres, redis))
}

/// Makes the database on a private server if it is missing and answers its owner's URL.
async fn create_database(superuser_url: &str) -> Result<Secret> {
    let options = PgConnectOptions::from_str(superuser_url)?;
    let mut connection = options
        .connect()
        .await
        .context("could not connect to PostgreSQL")?;
    let exists = sqlx::query_scalar!(
        r#"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1) AS "exists!""#,
        DATABASE
    )
    .fetch_one(&mut connection)
    .await?;
    if !exists {
        sqlx::raw_sql("CREATE DATABASE unity")
            .execute(&mut connection)
            .await?;
    }
    connection.close().await?;
    Ok(Secret::new(connection_url(&options.database(DATABASE))))
}

/// Migrates the database and makes this installation's logins. Their passwords follow from the
/// owner's URL, so that a second process on the same database comes to the same ones.
async fn prepare_database(settings: &mut Settings) -> Result<()> {
    let owner = Settings::require("database_url", settings.owner_database_url.as_ref())?.clone();
    let at = || format!("at {}", owner.masked());
    migrate(owner.reveal())
        .await
        .with_context(|| format!("could not prepare the database {}", at()))?;
    let password = |of: &str| {
        let digest = Sha256::digest(format!("unity dev login of {of}\n{}", owner.reveal()));
        digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
    };
    let passwords = LoginPasswords {
        app: password("app"),
        platform: password("platform"),
    };
    let logins = create_logins(owner.reveal(), &passwords)
        .await
        .with_context(|| format!("could not prepare the logins {}", at()))?;
    settings.database_url = Some(Secret::new(logins.app));
    settings.platform_database_url = Some(Secret::new(logins.platform));
    Ok(())
}
