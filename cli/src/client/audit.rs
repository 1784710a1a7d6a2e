//! `unity audit`.

use anyhow::{Context as _, Result, bail};
use clap::Subcommand;
use serde_json::{Value, from_value};
use unity_shared::{
    audit::{
        AuditFilter, AuditRow, ChainHead, ChainWalk, Hash, PLATFORM_CHAIN,
        find_platform_audit_head, list_platform_audit_log,
    },
    config::Settings,
    db::Database,
};

use super::{
    connection::{Api, ClientFlags, Whose},
    table::{self, Column, line},
};
use crate::process::open_database;

/// `unity audit ...`
#[derive(Debug, clap::Args)]
pub struct AuditArgs {
    #[command(flatten)]
    client: ClientFlags,
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
    /// Walks a log from its head to its first entry and names the first that was changed or is
    /// missing. Exit 0 if all are as they were written, and prints the head.
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
    /// A tenant's log; without it the caller's own, or the platform's.
    #[arg(long, value_name = "ID")]
    tenant: Option<String>,
    /// A head that was kept: the log must lead to it.
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
/// Entries that are read at once.
const PAGE: i64 = 200;

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
            let walked = walk_api(&api, &flags).await?;
            report(walked)?;
        }
    }
    Ok(())
}

/// Walks a log in the database.
pub(crate) async fn verify_database(settings: Settings, flags: VerifyFlags) -> Result<()> {
    let database = open_database(&settings).await?;
    let walked = walk_database(&database, &flags).await?;
    database.close().await;
    report(walked)
}

/// A walk that has passed every entry, and the head that it began at.
type Walked = (ChainWalk, ChainHead);

fn report((walk, head): Walked) -> Result<()> {
    match walk.finish() {
        Ok(entries) => {
            let ChainHead { sequence, hash } = head;
            line(&format!(
                "{entries} entries, all as they were written; head {sequence}:{hash}"
            ));
            Ok(())
        }
        Err(broken) => bail!("the log is not as it was written: {broken}"),
    }
}

fn begin(chain: &str, head: ChainHead, kept: Option<ChainHead>) -> ChainWalk {
    let walk = ChainWalk::from_head(chain, head);
    match kept {
        Some(kept) => walk.through(kept),
        None => walk,
    }
}

async fn walk_database(database: &Database, flags: &VerifyFlags) -> Result<Walked> {
    let chain = flags.tenant.as_deref().unwrap_or(PLATFORM_CHAIN);
    let mut tx = database.operator().statement().await?;
    let head = find_platform_audit_head(&mut tx, chain).await?;
    let mut walk = begin(chain, head, flags.head);
    // What was told after the head was read is left out, unless it is not behind the head now either.
    let mut filter = AuditFilter {
        limit: PAGE,
        ..AuditFilter::default()
    };
    let mut newer = Vec::new();
    loop {
        let rows = list_platform_audit_log(&mut tx, chain, &filter).await?;
        let Some(last) = rows.last() else { break };
        filter.before = Some(last.sequence);
        step_all(&mut walk, rows, head, &mut newer);
    }
    let now = find_platform_audit_head(&mut tx, chain).await?;
    step_behind(&mut walk, &newer, now);
    Ok((walk, head))
}

async fn walk_api(api: &Api, flags: &VerifyFlags) -> Result<Walked> {
    let tenant = flags.tenant.as_deref();
    let head = head_of(api, tenant).await?;
    let mut query = vec![("limit", PAGE.to_string())];
    query.extend(tenant.map(|tenant| ("tenant", tenant.to_owned())));
    let mut pages: Option<ChainWalk> = None;
    let mut newer = Vec::new();
    loop {
        let page = api.get(&["audit-log"], &query).await?;
        let rows: Vec<AuditRow> = from_value(page.get("items").cloned().unwrap_or_default())
            .context("the API answered something that is no audit log")?;
        // Without a name the log is the caller's own, which its entries tell.
        let chain = rows.first().map_or("", |row| row.tenant_id.as_str());
        let walk = pages.get_or_insert_with(|| begin(tenant.unwrap_or(chain), head, flags.head));
        step_all(walk, rows, head, &mut newer);
        let Some(token) = page.get("next_page_token").and_then(Value::as_str) else {
            break;
        };
        query.retain(|(name, _)| *name != "page_token");
        query.push(("page_token", token.to_owned()));
    }
    let mut walk = pages.unwrap_or_else(|| begin("", head, flags.head));
    step_behind(&mut walk, &newer, head_of(api, tenant).await?);
    Ok((walk, head))
}

fn step_all(walk: &mut ChainWalk, rows: Vec<AuditRow>, head: ChainHead, newer: &mut Vec<AuditRow>) {
    for row in rows {
        if row.sequence > head.sequence {
            newer.push(row);
        } else {
            walk.step(&row);
        }
    }
}

/// Entries that were there before the head had come to them are behind it.
fn step_behind(walk: &mut ChainWalk, newer: &[AuditRow], now: ChainHead) {
    for row in newer.iter().filter(|row| row.sequence > now.sequence) {
        walk.step(row);
    }
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
