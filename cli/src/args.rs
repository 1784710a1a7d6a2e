//! What can be said on the command line. A flag wins over the environment, that over the file.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Parser, Subcommand};
use serde::Serialize;
use serde_json::{Map, Value};
use unity_shared::config::{LogFormat, Settings, SettingsError};

use crate::bench::Choice;
use crate::client::{
    ActAsArgs, AuditArgs, IdentityProviderArgs, InvitationsArgs, JobsArgs, KeysArgs, MembersArgs,
    PoolsArgs, QueuesArgs, SwitchesArgs, TenantsArgs, WorkersArgs,
};

/// Multi-tenant control plane for Kubernetes on a job queue.
#[derive(Debug, Parser)]
#[command(name = "unity", version, propagate_version = true)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Flags that every command takes.
    #[command(flatten)]
    pub global: GlobalFlags,
}

/// Flags that every command takes.
#[derive(Debug, Clone, clap::Args)]
pub struct GlobalFlags {
    /// TOML file with settings.
    #[arg(long, global = true, value_name = "FILE", env = "UNITY_CONFIG")]
    pub config: Option<PathBuf>,
    /// How log lines are written.
    #[arg(long, global = true, value_parser = log_format, value_name = "text|json")]
    pub log_format: Option<LogFormat>,
    /// Which log lines are written, for example `info,unity_worker=debug`.
    #[arg(long, global = true, value_name = "FILTER")]
    pub log: Option<String>,
}

/// The processes and tools of Unity.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Everything in one process, with private servers and a simulated cluster.
    Dev(DevFlags),
    /// The HTTP API.
    Api(ApiFlags),
    /// A worker: carries jobs out.
    Worker(WorkerFlags),
    /// The scheduler: keeps jobs moving. Several may run, one leads.
    Scheduler(OpsFlags),
    /// Brings the database's schema up to this version.
    Migrate(MigrateFlags),
    /// Jobs, over the API.
    Jobs(JobsArgs),
    /// Tenants and their limits, over the API.
    Tenants(TenantsArgs),
    /// Members of a tenant, over the API.
    Members(MembersArgs),
    /// Invitations to a tenant, over the API.
    Invitations(InvitationsArgs),
    /// Worker pools, over the API.
    Pools(PoolsArgs),
    /// Worker processes, over the API.
    Workers(WorkersArgs),
    /// Queues: what waits and runs, and whether Redis and the rows agree.
    Queues(QueuesArgs),
    /// Switches that stop part of the traffic, over the API.
    Switches(SwitchesArgs),
    /// A system administrator inside a tenant: for minutes, with a reason, over the API.
    ActAs(ActAsArgs),
    /// By which identity provider a tenant's people sign in, over the API.
    IdentityProvider(IdentityProviderArgs),
    /// Audit logs: who did what, and whether the log is as it was written.
    Audit(AuditArgs),
    /// API keys, over the API; the first ones and the keys that sign tokens, in the database.
    Keys(KeysArgs),
    /// People, in the database: who manages the platform, and who is kept out.
    #[command(subcommand)]
    Users(UsersCommand),
    /// Prints the settings in force, with secrets masked.
    Config,
    /// The simulated Kubernetes API server on its own.
    Simulator(SimulatorFlags),
    /// Measures Unity over HTTP, with its processes beside this one; one JSON line for each figure.
    Bench(BenchFlags),
}

/// Where a process answers its operators.
#[derive(Debug, Clone, Default, Serialize, clap::Args)]
pub struct OpsFlags {
    /// Where /healthz, /readyz and /metrics are; port 0 = a free one.
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ops_listen: Option<SocketAddr>,
}

/// Flags of `unity api`.
#[derive(Debug, Clone, Default, Serialize, clap::Args)]
pub struct ApiFlags {
    /// Where the API listens; port 0 = a free one.
    #[arg(long, value_name = "ADDR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Where operators look.
    #[command(flatten)]
    #[serde(flatten)]
    pub ops: OpsFlags,
}

/// Flags of `unity worker`.
#[derive(Debug, Clone, Default, Serialize, clap::Args)]
pub struct WorkerFlags {
    /// The pool that this worker belongs to: the name under which operators set it.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// The queue that it consumes; without it the one of its pool's name, else `default`.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// The kinds of jobs that it takes, separated by commas; without it every kind of its queue.
    #[arg(long, value_name = "KIND,KIND")]
    #[serde(skip_serializing_if = "Option::is_none", rename = "worker_kinds")]
    pub kinds: Option<String>,
    /// Jobs at once.
    #[arg(long)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Where operators look.
    #[command(flatten)]
    #[serde(flatten)]
    pub ops: OpsFlags,
}

/// Flags of `unity dev`.
#[derive(Debug, Clone, clap::Args)]
pub struct DevFlags {
    /// Where servers keep their data, and where dev.json, unity.toml and kubeconfig are written.
    #[arg(
        long,
        value_name = "DIR",
        default_value = ".unity",
        env = "UNITY_DATA_DIR"
    )]
    pub data_dir: PathBuf,
    /// Stops after the demo job: exit 0 if it succeeded.
    #[arg(long)]
    pub once: bool,
    /// Where the API listens; port 0 = a free one. Without it 127.0.0.1:8080, or a free port if that
    /// one is taken.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where /healthz, /readyz and /metrics are.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub ops_listen: SocketAddr,
    /// Workers inside this process; 0 = bring your own.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub workers: u32,
    /// Creates no demo tenant.
    #[arg(long, conflicts_with = "once")]
    pub no_demo: bool,
    /// A real cluster instead of the simulated one.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in that file; without it, its current one.
    #[arg(long, value_name = "NAME", requires = "kubeconfig")]
    pub context: Option<String>,
}

/// Flags of `unity migrate`.
#[derive(Debug, Clone, clap::Args)]
pub struct MigrateFlags {
    /// Also creates the two login roles of this installation and prints their names. Their passwords come
    /// from the variables `UNITY_LOGIN_PASSWORD` (tenants' work) and `UNITY_PLATFORM_LOGIN_PASSWORD`, and
    /// differ.
    #[arg(long)]
    pub create_logins: bool,
}

/// Flags of `unity simulator`.
#[derive(Debug, Clone, clap::Args)]
pub struct SimulatorFlags {
    /// Where it listens; port 0 = a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
    /// Keeps the objects in this file over a restart.
    #[arg(long, value_name = "FILE")]
    pub state_file: Option<PathBuf>,
    /// Writes a kubeconfig for it to this file.
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: PathBuf,
}

/// Flags of `unity bench`.
#[derive(Debug, Clone, clap::Args)]
pub struct BenchFlags {
    /// What is measured.
    pub scenario: Choice,
    /// How often; the figure is the median.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    pub repeat: u32,
    /// Writes a table of the figures as Markdown, beside the limits of the machine if they are
    /// measured too.
    #[arg(long, value_name = "FILE.md")]
    pub out: Option<PathBuf>,
    /// Also writes the JSON lines to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measures only what has this text in its name, in scenarios of several cases: `enqueue`, `drain`
    /// and `growth`.
    #[arg(long, value_name = "TEXT")]
    pub only: Option<String>,
    /// Jobs at once in the worker that drains.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    pub concurrency: u32,
    /// The owner of a PostgreSQL server instead of a private one; it may create databases and roles.
    #[arg(
        long,
        value_name = "URL",
        env = "UNITY_DATABASE_URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// A Redis instead of a private one.
    #[arg(
        long,
        value_name = "URL",
        env = "UNITY_REDIS_URL",
        hide_env_values = true
    )]
    pub redis_url: Option<String>,
    /// Goes on up to a million waiting jobs in `growth`.
    #[arg(long)]
    pub full: bool,
    /// Measures a debug build, to see that the bench works; its figures say nothing.
    #[arg(long)]
    pub debug_build_anyway: bool,
    /// Switches the limits on calls off, to see what they cost.
    #[arg(long, hide = true)]
    pub no_rate_limit: bool,
    /// How long a load is kept up.
    #[arg(long, hide = true, default_value_t = 5.0)]
    pub seconds: f64,
    /// How many jobs a drain takes.
    #[arg(long, hide = true, default_value_t = 20_000)]
    pub jobs: usize,
    /// How many tenants share the work where it is not one's alone: 20 in `faults`, else 100.
    #[arg(long, value_name = "N")]
    pub tenants: Option<usize>,
    /// Goes through the faults again and again for so long; without it, once.
    #[arg(long, value_name = "N")]
    pub minutes: Option<f64>,
}

/// What can be done with people.
#[derive(Debug, Subcommand)]
pub enum UsersCommand {
    /// Makes somebody a system administrator, and prints their first password, once.
    CreateAdmin {
        /// Where mail reaches them; also the login name. Who is known already keeps their password.
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
    /// Keeps somebody out: ends every session of theirs, and holds back the keys that they made.
    Disable {
        /// Their address.
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
    /// Lets somebody log in again.
    Enable {
        /// Their address.
        #[arg(long, value_name = "ADDRESS")]
        email: String,
    },
}

impl GlobalFlags {
    /// The settings in force, with `flags` of the command on top.
    pub fn settings(&self, flags: &impl Serialize) -> Result<Settings, SettingsError> {
        let mut map = match serde_json::to_value(flags) {
            Ok(Value::Object(map)) => map,
            Ok(_) | Err(_) => Map::new(),
        };
        if let Some(format) = self.log_format {
            let name = match format {
                LogFormat::Text => "text",
                LogFormat::Json => "json",
            };
            map.insert("log_format".to_owned(), Value::from(name));
        }
        if let Some(filter) = &self.log {
            map.insert("log".to_owned(), Value::from(filter.as_str()));
        }
        Settings::read(self.config.clone(), &map)
    }

    /// The same flags, with another file where they name none.
    #[must_use]
    pub fn or_config(&self, file: Option<PathBuf>) -> Self {
        Self {
            config: self.config.clone().or(file),
            ..self.clone()
        }
    }
}

fn log_format(text: &str) -> Result<LogFormat, String> {
    serde_json::from_value(Value::from(text)).map_err(|_| "must be text or json".to_owned())
}
