//! `unity pools`.

use anyhow::{Result, bail};
use clap::Subcommand;
use reqwest::Method;
use serde_json::{Map, Value};

use super::{
    connection::{ClientFlags, Whose},
    table::{self, Column},
};

/// `unity pools ...`
#[derive(Debug, clap::Args)]
pub struct PoolsArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: PoolsCommand,
}

#[derive(Debug, Subcommand)]
enum PoolsCommand {
    /// Lists worker pools.
    List,
    /// Sets a pool while it runs.
    Set {
        pool: String,
        /// Jobs at once of each worker; `default` = as each was started.
        #[arg(long, value_name = "N|default", value_parser = concurrency)]
        concurrency: Option<Concurrency>,
        /// Its workers take no jobs.
        #[arg(long, conflicts_with = "resume")]
        pause: bool,
        /// Its workers take jobs again.
        #[arg(long)]
        resume: bool,
        /// How many workers it has, where a Deployment runs them.
        #[arg(long, value_name = "N")]
        replicas: Option<u32>,
    },
}

#[derive(Debug, Clone, Copy)]
enum Concurrency {
    AsStarted,
    Jobs(u32),
}

const COLUMNS: &[Column] = &[
    ("POOL", "/pool"),
    ("WORKERS", "/workers"),
    ("CAPACITY", "/capacity"),
    ("RUNNING", "/running"),
    ("CONCURRENCY", "/concurrency"),
    ("PAUSED", "/paused"),
];

/// Runs the command.
pub(crate) async fn run(args: PoolsArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    match args.command {
        PoolsCommand::List => {
            let page = api.get(&["worker-pools"], &[]).await?;
            api.show(&page, |page| table::page(page, COLUMNS));
        }
        PoolsCommand::Set {
            pool,
            concurrency,
            pause,
            resume,
            replicas,
        } => {
            let mut patch = Map::new();
            match concurrency {
                None => {}
                Some(Concurrency::AsStarted) => {
                    patch.insert("concurrency".to_owned(), Value::Null);
                }
                Some(Concurrency::Jobs(jobs)) => {
                    patch.insert("concurrency".to_owned(), jobs.into());
                }
            }
            if pause || resume {
                patch.insert("paused".to_owned(), pause.into());
            }
            if let Some(replicas) = replicas {
                patch.insert("replicas".to_owned(), replicas.into());
            }
            if patch.is_empty() {
                bail!("nothing to set: say --concurrency, --pause, --resume or --replicas");
            }
            let pool = api
                .send(
                    Method::PATCH,
                    &["worker-pools", &pool],
                    &Value::Object(patch),
                )
                .await?;
            api.show(&pool, |pool| table::fields(pool, COLUMNS));
        }
    }
    Ok(())
}

fn concurrency(text: &str) -> Result<Concurrency, String> {
    match text {
        "default" => Ok(Concurrency::AsStarted),
        number => match number.parse() {
            Ok(jobs) => Ok(Concurrency::Jobs(jobs)),
            Err(_) => Err("must be a number, or default".to_owned()),
        },
    }
}
