//! `unity audit verify`: walks logs and says of each whether it is as it was written.

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, from_value};
use unity_shared::{
    audit::{
        AuditFilter, AuditRow, Break, ChainHead, ChainWalk, PLATFORM_CHAIN,
        find_platform_audit_head, list_audit_chains, list_platform_audit_log,
    },
    config::Settings,
    db::Database,
};

use super::{VerifyFlags, head_of};
use crate::{
    client::{connection::Api, table::line},
    process::open_database,
};

/// Entries that are read at once.
const PAGE: i64 = 200;

/// A log that was walked: how many entries are as they were written, or the first that is not.
struct Verdict {
    /// Whose it is; absent = the caller's own.
    chain: Option<String>,
    head: ChainHead,
    outcome: Result<u64, Break>,
}

/// Walks the logs that the caller may read.
pub(super) async fn verify_over_api(api: &Api, flags: &VerifyFlags) -> Result<()> {
    let mut verdicts = Vec::new();
    for chain in readable_chains(api, flags).await? {
        verdicts.push(walk_api(api, chain, flags.head).await?);
    }
    report(&verdicts)
}

/// Walks the logs in the database.
pub(crate) async fn verify_in_database(settings: Settings, flags: VerifyFlags) -> Result<()> {
    let database = open_database(&settings).await?;
    let chains = match (&flags.tenant, flags.head) {
        (Some(tenant), _) => vec![tenant.clone()],
        (None, Some(_)) => vec![PLATFORM_CHAIN.to_owned()],
        (None, None) => {
            let mut tx = database.operator().statement().await?;
            list_audit_chains(&mut tx).await?
        }
    };
    let mut verdicts = Vec::new();
    for chain in chains {
        verdicts.push(walk_database(&database, chain, flags.head).await?);
    }
    database.close().await;
    report(&verdicts)
}

fn report(verdicts: &[Verdict]) -> Result<()> {
    let mut broken = Vec::new();
    for verdict in verdicts {
        let name = match &verdict.chain {
            Some(chain) if verdicts.len() > 1 => format!("{chain}: "),
            Some(_) | None => String::new(),
        };
        match &verdict.outcome {
            Ok(entries) => {
                let ChainHead { sequence, hash } = verdict.head;
                line(&format!(
                    "{name}{entries} entries, all as they were written; head {sequence}:{hash}"
                ));
            }
            Err(found) => broken.push(format!("{name}{found}")),
        }
    }
    match broken.as_slice() {
        [] => Ok(()),
        [one] => bail!("the log is not as it was written: {one}"),
        several => bail!(
            "{} logs are not as they were written:\n  {}",
            several.len(),
            several.join("\n  ")
        ),
    }
}

/// The logs to walk; an absent name is the caller's own.
async fn readable_chains(api: &Api, flags: &VerifyFlags) -> Result<Vec<Option<String>>> {
    if flags.tenant.is_some() || flags.head.is_some() {
        return Ok(vec![flags.tenant.clone()]);
    }
    let me = api.get(&["auth", "me"], &[]).await?;
    if me.get("role").and_then(Value::as_str) != Some("system-admin") {
        return Ok(vec![None]);
    }
    let mut chains = vec![Some(PLATFORM_CHAIN.to_owned())];
    // A list without a state leaves purged tenants out; their logs stay.
    for status in [None, Some("purged")] {
        let mut query: Vec<(&str, String)> = vec![("limit", PAGE.to_string())];
        query.extend(status.map(|status| ("status", status.to_owned())));
        while let Some(page) = next_page(api, "tenants", &mut query).await? {
            let items = page.get("items").and_then(Value::as_array);
            let ids = items.into_iter().flatten();
            let ids = ids.filter_map(|tenant| tenant.get("tenant_id").and_then(Value::as_str));
            chains.extend(ids.map(|id| Some(id.to_owned())));
        }
    }
    Ok(chains)
}

/// The page that `query` asks for, and `query` asks for the one behind it then; absent = there is none.
async fn next_page(
    api: &Api,
    list: &str,
    query: &mut Vec<(&'static str, String)>,
) -> Result<Option<Value>> {
    const TOKEN: &str = "page_token";
    const THE_END: &str = "";
    let is_over = |(name, value): &(&str, String)| *name == TOKEN && value == THE_END;
    if query.iter().any(is_over) {
        return Ok(None);
    }
    let page = api.get(&[list], query).await?;
    let token = page.get("next_page_token").and_then(Value::as_str);
    query.retain(|(name, _)| *name != TOKEN);
    query.push((TOKEN, token.unwrap_or(THE_END).to_owned()));
    Ok(Some(page))
}

fn begin(chain: &str, head: ChainHead, kept: Option<ChainHead>) -> ChainWalk {
    let walk = ChainWalk::from_head(chain, head);
    match kept {
        Some(kept) => walk.through(kept),
        None => walk,
    }
}

async fn walk_database(
    database: &Database,
    chain: String,
    kept: Option<ChainHead>,
) -> Result<Verdict> {
    let mut tx = database.operator().statement().await?;
    let head = find_platform_audit_head(&mut tx, &chain).await?;
    let mut walk = begin(&chain, head, kept);
    // What was told after the head was read is left out, unless it is not behind the head now either.
    let mut filter = AuditFilter {
        limit: PAGE,
        ..AuditFilter::default()
    };
    let mut newer = Vec::new();
    loop {
        let rows = list_platform_audit_log(&mut tx, &chain, &filter).await?;
        let Some(last) = rows.last() else { break };
        filter.before = Some(last.sequence);
        step_all(&mut walk, rows, head, &mut newer);
    }
    let now = find_platform_audit_head(&mut tx, &chain).await?;
    step_behind(&mut walk, &newer, now);
    Ok(Verdict {
        chain: Some(chain),
        head,
        outcome: walk.finish(),
    })
}

async fn walk_api(api: &Api, chain: Option<String>, kept: Option<ChainHead>) -> Result<Verdict> {
    let head = head_of(api, chain.as_deref()).await?;
    let mut query = vec![("limit", PAGE.to_string())];
    query.extend(chain.clone().map(|chain| ("tenant", chain)));
    let mut pages: Option<ChainWalk> = None;
    let mut newer = Vec::new();
    while let Some(page) = next_page(api, "audit-log", &mut query).await? {
        let rows: Vec<AuditRow> = from_value(page.get("items").cloned().unwrap_or_default())
            .context("the API answered something that is no audit log")?;
        // Without a name the log is the caller's own, which its entries tell.
        let own = rows.first().map_or("", |row| row.tenant_id.as_str());
        let walk = pages.get_or_insert_with(|| begin(chain.as_deref().unwrap_or(own), head, kept));
        step_all(walk, rows, head, &mut newer);
    }
    let mut walk = pages.unwrap_or_else(|| begin("", head, kept));
    step_behind(&mut walk, &newer, head_of(api, chain.as_deref()).await?);
    Ok(Verdict {
        chain,
        head,
        outcome: walk.finish(),
    })
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
