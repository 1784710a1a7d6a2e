//! Writes entries. Each function is the last statement of its transaction.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Author, Deed, PLATFORM_CHAIN};
use crate::{
    db::{DbError, Duty, Engine, Issuer, Operator, PlatformTx, Purger, Registrar, TenantTx},
    ids::TenantId,
};

/// An entry as the database function takes it, but for its chain.
fn entry(author: &Author, deed: &Deed) -> Value {
    let Deed {
        action,
        object,
        result,
        detail,
    } = deed;
    let mut entry = voice(author);
    let mut detail = detail.clone();
    if let Some((_, reason)) = &author.act_as {
        detail.insert("act_as_reason".to_owned(), Value::from(reason.as_str()));
    }
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("action".to_owned(), action.as_str().into());
        fields.insert("object_type".to_owned(), object.kind.into());
        fields.insert("object_id".to_owned(), object.id.clone().into());
        fields.insert("result".to_owned(), result.as_str().into());
        fields.insert("detail".to_owned(), Value::Object(detail));
    }
    entry
}

/// The part of an entry that says who speaks.
fn voice(author: &Author) -> Value {
    let Author {
        actor,
        for_platform,
        act_as,
        source_address,
        user_agent,
        request_id,
    } = author;
    json!({
        "actor_kind": actor.kind.as_str(),
        "actor_id": actor.id,
        "actor_display": actor.display,
        "for_platform": for_platform,
        "act_as": act_as.as_ref().map(|(grant, _)| grant),
        "source_address": source_address,
        "user_agent": user_agent,
        "request_id": request_id,
    })
}

/// Tells in the log of the transaction's tenant what was done there, and in the platform's if the
/// author acts for it.
pub async fn record(
    tx: &mut TenantTx,
    author: &Author,
    deed: &Deed,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let entries = json!([entry(author, deed)]);
    sqlx::query_scalar!(r#"SELECT audit_own($1, $2) AS "told!""#, entries, now)
        .fetch_one(tx.connection())
        .await?;
    Ok(())
}

/// A duty that changes something, and may tell of it in any log.
pub trait Tells: Duty {}

impl Tells for Engine {}
impl Tells for Issuer {}
impl Tells for Operator {}
impl Tells for Purger {}
impl Tells for Registrar {}

/// Tells in one log what was done: a tenant's, or the platform's.
pub async fn record_in<D: Tells>(
    tx: &mut PlatformTx<D>,
    author: &Author,
    tenant: Option<&TenantId>,
    deed: &Deed,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let telling = Telling {
        chains: vec![tenant.cloned()],
        author: author.clone(),
        deed: deed.clone(),
    };
    tell_all(tx, std::slice::from_ref(&telling), now).await
}

/// Tells in a tenant's log what was done there, and in the platform's if the author acts for it: what
/// [`record`] does, for a duty.
pub async fn record_in_tenant<D: Tells>(
    tx: &mut PlatformTx<D>,
    author: &Author,
    tenant: &TenantId,
    deed: &Deed,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if author.for_platform {
        record_for_platform(tx, author, Some(tenant), deed, now).await
    } else {
        record_in(tx, author, Some(tenant), deed, now).await
    }
}

/// Tells in the platform's log what was done, and in the log of the tenant that it concerns.
pub async fn record_for_platform<D: Tells>(
    tx: &mut PlatformTx<D>,
    author: &Author,
    concerned: Option<&TenantId>,
    deed: &Deed,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let telling = Telling {
        chains: chains_of(concerned),
        author: author.clone(),
        deed: deed.clone(),
    };
    tell_all(tx, std::slice::from_ref(&telling), now).await
}

/// The chains in which something that concerns a tenant is told by the platform.
fn chains_of(concerned: Option<&TenantId>) -> Vec<Option<TenantId>> {
    concerned
        .cloned()
        .map(Some)
        .into_iter()
        .chain([None])
        .collect()
}

/// An entry with the chains that it goes into.
#[derive(Debug, Clone)]
pub struct Telling {
    /// Tenants; absent = the platform.
    pub chains: Vec<Option<TenantId>>,
    /// Who.
    pub author: Author,
    /// What.
    pub deed: Deed,
}

/// Tells several things at once. In the platform's log each is told under the name of the tenant that
/// it concerns.
pub async fn tell_all<D: Tells>(
    tx: &mut PlatformTx<D>,
    tellings: &[Telling],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let entries: Vec<Value> = tellings.iter().flat_map(entries_of).collect();
    sqlx::query_scalar!(
        r#"SELECT audit($1, $2) AS "told!""#,
        Value::Array(entries),
        now
    )
    .fetch_one(tx.connection())
    .await?;
    Ok(())
}

fn entries_of(telling: &Telling) -> Vec<Value> {
    let Telling {
        chains,
        author,
        deed,
    } = telling;
    let concerned = chains.iter().flatten().next();
    let entries = chains
        .iter()
        .map(|chain| entry_in(chain.as_ref(), author, deed, concerned));
    entries.collect()
}

/// An entry of one log; in the platform's it names the tenant that it concerns.
fn entry_in(
    chain: Option<&TenantId>,
    author: &Author,
    deed: &Deed,
    concerned: Option<&TenantId>,
) -> Value {
    let mut entry = entry(author, deed);
    let name = chain.map_or(PLATFORM_CHAIN, TenantId::as_str);
    if let Some(fields) = entry.as_object_mut() {
        fields.insert("tenant_id".to_owned(), name.into());
        if let (None, Some(tenant), Some(Value::Object(detail))) =
            (chain, concerned, fields.get_mut("detail"))
        {
            detail.insert("tenant_id".to_owned(), tenant.as_str().into());
        }
    }
    entry
}
