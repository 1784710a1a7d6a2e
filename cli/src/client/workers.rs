//! `unity workers`.

use anyhow::Result;
use clap::Subcommand;

use super::{
    connection::{ClientFlags, Whose},
    table::{self, Column},
};

/// `unity workers ...`
#[derive(Debug, clap::Args)]
pub struct WorkersArgs {
    #[command(flatten)]
    client: ClientFlags,
    #[command(subcommand)]
    command: WorkersCommand,
}

#[derive(Debug, Subcommand)]
enum WorkersCommand {
    /// Lists the workers that live.
    List {
        /// Only this pool.
        #[arg(long)]
        pool: Option<String>,
        /// Workers of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
}

const COLUMNS: &[Column] = &[
    ("ID", "/id"),
    ("POOL", "/pool"),
    ("HOST", "/host"),
    ("VERSION", "/version"),
    ("RUNNING", "/running"),
    ("CONCURRENCY", "/concurrency"),
    ("STARTED", "/started_at"),
    ("LAST SIGN", "/heartbeat_at"),
    ("KINDS", "/kinds"),
];

/// Runs the command.
pub(crate) async fn run(args: WorkersArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    let WorkersCommand::List {
        pool,
        limit,
        page_token,
    } = args.command;
    let query: Vec<(&str, String)> = [
        ("pool", pool),
        ("limit", limit.map(|limit| limit.to_string())),
        ("page_token", page_token),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let page = api.get(&["workers"], &query).await?;
    api.show(&page, |page| table::page(page, COLUMNS));
    Ok(())
}
