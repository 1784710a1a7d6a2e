//! `unity audit`.

mod verify;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::from_value;
use unity_shared::audit::{ChainHead, Hash};

use super::{
    connection::{Api, ClientFlags, Whose},
    table::{self, Column, line},
};

pub(crate) use verify::verify_in_database;

/// `unity audit ...`
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(flatten)]
    pub(crate) client: ClientFlags,
    /// What to do.
    #[command(subcommand)]
    pub command: AuditCommand,
}

/// What can be done with audit logs.
#[derive(Debug, Clone, Subcommand)]
pub enum AuditCommand {
    /// Lists entries, the last first.
    List(ListFlags),
    /// Prints the place and the hash of the last entry, to be kept elsewhere: `SEQUENCE:HASH`.
    Head {
        /// A tenant's log; without it the caller's own, or the platform's.
        #[arg(long, value_name = "ID")]
        tenant: Option<String>,
    },
    /// Walks each log that one may read (a system administrator all of them, the platform's and every
    /// tenant's) from its head to its first entry and names the first that was changed or is missing.
    /// Exit 0 if all are as they were written, and prints the heads.
    Verify(VerifyFlags),
}

/// Flags of `unity audit list`.
#[derive(Debug, Clone, clap::Args)]
pub struct ListFlags {
    /// A tenant's log; without it the caller's own, or the platform's.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// Only this action, for example `job.create`.
    #[arg(long)]
    action: Option<String>,
    /// Only what the actor of this id did.
    #[arg(long, value_name = "ID")]
    actor: Option<String>,
    /// Only what was done to the object of this id.
    #[arg(long, value_name = "ID")]
    object: Option<String>,
    /// Only objects of this type.
    #[arg(long, value_name = "TYPE")]
    object_type: Option<String>,
    /// Only this result.
    #[arg(long, value_parser = ["succeeded", "denied"])]
    result: Option<String>,
    /// Only from this instant on (RFC 3339).
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only before this instant (RFC 3339).
    #[arg(long, value_name = "TIME")]
    to: Option<String>,
    /// Entries of a page.
    #[arg(long, value_name = "N")]
    limit: Option<u32>,
    /// The page that an earlier list named.
    #[arg(long, value_name = "TOKEN")]
    page_token: Option<String>,
}

/// Flags of `unity audit verify`.
#[derive(Debug, Clone, clap::Args)]
pub struct VerifyFlags {
    /// Only this tenant's log, or `platform` for the platform's.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// A head that was kept: the log must lead to it. Without `--tenant` it is the caller's own log, or
    /// the platform's.
    #[arg(long, value_name = "SEQUENCE:HASH", value_parser = head)]
    head: Option<ChainHead>,
    /// Reads the database by the settings of a server process, and not over the API.
    #[arg(long)]
    pub database: bool,
}

const COLUMNS: &[Column] = &[
    ("NO", "/sequence"),
    ("AT", "/at"),
    ("ACTOR", "/actor_display"),
    ("ACTION", "/action"),
    ("TYPE", "/object_type"),
    ("OBJECT", "/object_id"),
    ("RESULT", "/result"),
    ("FROM", "/source_address"),
];
/// Runs the command over the API.
pub(crate) async fn run(args: AuditArgs) -> Result<()> {
    let api = args.client.connect(Whose::Admin)?;
    match args.command {
        AuditCommand::List(flags) => {
            let page = api.get(&["audit-log"], &flags.query()).await?;
            api.show(&page, |page| table::page(page, COLUMNS));
        }
        AuditCommand::Head { tenant } => {
            let head = head_of(&api, tenant.as_deref()).await?;
            let ChainHead { sequence, hash } = head;
            api.show(&serde_json::to_value(head)?, |_| {
                line(&format!("{sequence}:{hash}"));
            });
        }
        AuditCommand::Verify(flags) => {
            verify::verify_over_api(&api, &flags).await?;
        }
    }
    Ok(())
}

async fn head_of(api: &Api, tenant: Option<&str>) -> Result<ChainHead> {
    let query: Vec<(&str, String)> = tenant
        .map(|tenant| ("tenant", tenant.to_owned()))
        .into_iter()
        .collect();
    let head = api.get(&["audit-log", "head"], &query).await?;
    from_value(head).context("the API answered something that is no head of a log")
}

impl ListFlags {
    fn query(self) -> Vec<(&'static str, String)> {
        let Self {
            tenant,
            action,
            actor,
            object,
            object_type,
            result,
            from,
            to,
            limit,
            page_token,
        } = self;
        [
            ("tenant", tenant),
            ("action", action),
            ("actor", actor),
            ("object", object),
            ("object_type", object_type),
            ("result", result),
            ("from", from),
            ("to", to),
            ("limit", limit.map(|limit| limit.to_string())),
            ("page_token", page_token),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// `SEQUENCE:HASH`, as `unity audit head` prints it.
fn head(text: &str) -> Result<ChainHead, String> {
    let problem = || "must be as `unity audit head` prints it: SEQUENCE:HASH".to_owned();
    let (sequence, hash) = text.split_once(':').ok_or_else(problem)?;
    Ok(ChainHead {
        sequence: sequence.parse().map_err(|_| problem())?,
        hash: Hash::parse(hash).ok_or_else(problem)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_printed() {
        let text = format!("17:{}", "0a".repeat(32));
        let read = head(&text).unwrap();
        assert_eq!(format!("{}:{}", read.sequence, read.hash), text);
        for bad in ["", "17", "17:", "x:00", &text[1..text.len() - 1]] {
            assert!(head(bad).is_err(), "{bad}");
        }
    }
}
