//! One file for each command.

mod api;
mod bench;
mod config;
mod keys;
mod migrate;
mod scheduler;
mod simulator;
mod users;
mod verify;
mod worker;

use anyhow::{Context as _, Result};
use unity_shared::{config::Settings, telemetry::start_logging};

pub use keys::create_key;
pub(crate) use scheduler::context as scheduler_context;
pub(crate) use worker::{
    mailer as worker_mailer, options as worker_options, services as worker_services,
};

use crate::{
    args::{Args, Command},
    client::{self, AuditCommand, QueuesCommand},
    dev,
};

/// Who acts where nobody has a credential but whoever holds the database's logins, for the audit log.
const COMMAND_LINE: &str = "command line";

/// Runs the command to its end.
pub fn run(args: Args) -> Result<()> {
    let global = args.global;
    match args.command {
        Command::Dev(flags) => dev::run(&global, &flags),
        Command::Api(flags) => with_runtime(&global.settings(&flags)?, api::run),
        Command::Worker(flags) => with_runtime(&global.settings(&flags)?, worker::run),
        Command::Scheduler(flags) => with_runtime(&global.settings(&flags)?, scheduler::run),
        Command::Migrate(flags) => with_runtime(&global.settings(&())?, |settings| {
            migrate::run(settings, flags)
        }),
        Command::Keys(args) => keys::run(&global, &args),
        Command::Users(command) => with_runtime(&global.settings(&())?, |settings| {
            users::run(settings, command)
        }),
        Command::Jobs(args) => runtime()?.block_on(client::run_jobs(args)),
        Command::Tenants(args) => runtime()?.block_on(client::run_tenants(args)),
        Command::Members(args) => runtime()?.block_on(client::run_members(args)),
        Command::Invitations(args) => runtime()?.block_on(client::run_invitations(args)),
        Command::Pools(args) => runtime()?.block_on(client::run_pools(args)),
        Command::Workers(args) => runtime()?.block_on(client::run_workers(args)),
        Command::Switches(args) => runtime()?.block_on(client::run_switches(args)),
        Command::ActAs(args) => runtime()?.block_on(client::run_act_as(args)),
        Command::IdentityProvider(args) => runtime()?.block_on(client::run_identity_provider(args)),
        Command::Audit(args) => match args.command.clone() {
            AuditCommand::Verify(flags) if flags.database => {
                let global = global.or_config(args.client.dev_settings()?);
                with_runtime(&global.settings(&())?, |settings| {
                    client::verify_audit_in_database(settings, flags)
                })
            }
            AuditCommand::Verify(_) | AuditCommand::List(_) | AuditCommand::Head { .. } => {
                runtime()?.block_on(client::run_audit(args))
            }
        },
        Command::Queues(args) => match args.command.clone() {
            QueuesCommand::List { limit, page_token } => {
                runtime()?.block_on(client::run_queues(&args, limit, page_token))
            }
            QueuesCommand::Verify { watch } => {
                let global = global.or_config(args.client.dev_settings()?);
                with_runtime(&global.settings(&())?, |settings| {
                    verify::run(settings, watch)
                })
            }
        },
        Command::Config => config::run(&global.settings(&())?),
        Command::Bench(flags) => bench::run(&global, &flags),
        Command::Simulator(flags) => {
            with_runtime(&global.settings(&())?, |_| simulator::run(flags))
        }
    }
}

fn with_runtime<F, Fut>(settings: &Settings, command: F) -> Result<()>
where
    F: FnOnce(Settings) -> Fut,
    Fut: Future<Output = Result<()>>,
{
    start_logging(settings.log_format, &settings.log)?;
    runtime()?.block_on(command(settings.clone()))
}

/// The runtime that every process works on.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("could not start the runtime")
}
