//! `unity queues`.

use anyhow::Result;
use clap::Subcommand;

use super::{
    connection::{ClientFlags, Whose},
    table::{self, Column},
};

/// `unity queues ...`
#[derive(Debug, clap::Args)]
pub struct QueuesArgs {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: QueuesCommand,
}

/// What can be done with queues.
#[derive(Debug, Clone, Subcommand)]
pub enum QueuesCommand {
    /// Lists what waits and runs, by queue and tenant.
    List {
        /// Lines of a page.
        #[arg(long, value_name = "N")]
        limit: Option<u32>,
        /// The page that an earlier list named.
        #[arg(long, value_name = "TOKEN")]
        page_token: Option<String>,
    },
    /// Compares the queue in Redis with the rows in PostgreSQL, over the settings of the scheduler and
    /// not over the API, and changes neither. Exit 0 if they agree, 1 if not.
    Verify {
        /// Goes on until it is stopped.
        #[arg(long)]
        watch: bool,
    },
}

const COLUMNS: &[Column] = &[
    ("QUEUE", "/queue"),
    ("TENANT", "/tenant_id"),
    ("WAITING", "/waiting"),
    ("RUNNING", "/running"),
    ("LIMIT", "/limit"),
    ("OLDEST WAIT (S)", "/oldest_wait_seconds"),
];

/// Lists queues.
pub(crate) async fn run(
    args: &QueuesArgs,
    limit: Option<u32>,
    page_token: Option<String>,
) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    let query: Vec<(&str, String)> = [
        ("limit", limit.map(|limit| limit.to_string())),
        ("page_token", page_token),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect();
    let page = api.get(&["queues"], &query).await?;
    api.show(&page, |page| table::page(page, COLUMNS));
    Ok(())
}
