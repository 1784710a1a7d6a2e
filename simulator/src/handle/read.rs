//! `GET` of one object, a page of a collection, or a stream of its changes.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use crate::answer::{Answer, Page};
use crate::cluster::Cluster;
use crate::handle::Call;
use crate::route::Target;
use crate::selector::Selector;
use crate::status::{Cause, Failure};
use crate::store::{Key, Objects, key_of};
use crate::tree;
use crate::watch::WatchRequest;

/// The stored object that a request addresses.
pub fn find(cluster: &Cluster, target: &Target) -> Result<Arc<Value>, Failure> {
    cluster
        .store
        .get(target.resource, &target.namespace, &target.name)
        .map(Arc::clone)
        .ok_or_else(|| Failure::not_found(target.resource, &target.name))
}

/// The namespace that a collection is limited to.
pub fn place(target: &Target) -> Option<&str> {
    (!target.namespace.is_empty()).then_some(target.namespace.as_str())
}

/// The selectors of a request.
pub fn selector(call: &Call<'_>) -> Result<Selector, Failure> {
    let query = &call.request.query;
    Selector::parse(
        call.target.resource,
        query.get("labelSelector"),
        query.get("fieldSelector"),
    )
}

/// One object.
pub fn get(cluster: &Cluster, call: &Call<'_>) -> Result<Answer, Failure> {
    refuse_future(cluster, call.request.query.number("resourceVersion")?)?;
    Ok(Answer::ok(
        call.target.resource,
        find(cluster, call.target)?,
    ))
}

fn refuse_future(cluster: &Cluster, asked: Option<u64>) -> Result<(), Failure> {
    let current = cluster.store.revision();
    match asked {
        Some(asked) if asked > current => Err(Failure::revision_in_the_future(asked, current)),
        Some(_) | None => Ok(()),
    }
}

/// A page of a collection.
pub fn list(cluster: &Cluster, call: &Call<'_>) -> Result<Answer, Failure> {
    let query = &call.request.query;
    let selector = selector(call)?;
    let limit = query.number("limit")?.unwrap_or(0);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let (revision, after) = starting_point(cluster, call)?;
    let is_current = revision == cluster.store.revision();
    let past: Objects;
    let objects = if is_current {
        cluster.store.table(call.target.resource)
    } else {
        past = cluster
            .store
            .table_at(call.target.resource, revision)
            .map_err(|_| {
                Failure::expired("The resourceVersion for the provided list is too old.")
            })?;
        Some(&past)
    };
    let place = place(call.target);
    let mut found: Vec<Arc<Value>> = objects
        .into_iter()
        .flatten()
        .filter(|((namespace, _), _)| place.is_none_or(|place| place == namespace))
        .filter(|(key, _)| after.as_ref().is_none_or(|after| *key > after))
        .map(|(_, object)| object)
        .filter(|object| selector.matches(object))
        .cloned()
        .collect();
    let is_cut = limit > 0 && found.len() > limit;
    let remaining = if is_cut { found.len() - limit } else { 0 };
    if is_cut {
        found.truncate(limit);
    }
    let next = found
        .last()
        .filter(|_| is_cut)
        .map(|last| token(revision, &key_of(last)));
    Ok(Answer::List(Page {
        resource: call.target.resource,
        items: found,
        revision,
        next: next.unwrap_or_default(),
        remaining: (is_cut && selector.is_everything()).then_some(remaining),
    }))
}

/// The revision that a list shows and the object that it starts after.
fn starting_point(cluster: &Cluster, call: &Call<'_>) -> Result<(u64, Option<Key>), Failure> {
    let query = &call.request.query;
    let current = cluster.store.revision();
    if !query.get("continue").is_empty() {
        let (revision, after) = read_token(query.get("continue"))?;
        if revision < cluster.store.oldest() {
            return Err(Failure::expired(
                "The provided continue parameter is too old to display a consistent list \
                 result. You can start a new list without the continue parameter.",
            ));
        }
        refuse_future(cluster, Some(revision))?;
        return Ok((revision, Some(after)));
    }
    let asked = query.number("resourceVersion")?;
    let rule = query.get("resourceVersionMatch");
    let refuse = |cause| Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]);
    match (asked, rule) {
        (None, "") => Ok((current, None)),
        (None, _) => {
            let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            Err(refuse(Cause::forbidden("resourceVersionMatch", why)))
        }
        (Some(0), "Exact") => {
            let why = "resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\"";
            Err(refuse(Cause::forbidden("resourceVersionMatch", why)))
        }
        (Some(asked), "Exact") => {
            refuse_future(cluster, Some(asked))?;
            Ok((asked, None))
        }
        (Some(asked), "" | "NotOlderThan") => {
            refuse_future(cluster, Some(asked))?;
            Ok((current, None))
        }
        (Some(_), other) => {
            let allowed = ["Exact", "NotOlderThan"];
            Err(refuse(Cause::not_supported(
                "resourceVersionMatch",
                &other.into(),
                &allowed,
            )))
        }
    }
}

fn token(revision: u64, last: &Key) -> String {
    let (namespace, name) = last;
    URL_SAFE_NO_PAD.encode(json!({"rv": revision, "ns": namespace, "name": name}).to_string())
}

fn read_token(text: &str) -> Result<(u64, Key), Failure> {
    URL_SAFE_NO_PAD
        .decode(text)
        .ok()
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).ok())
        .and_then(|token| {
            let part = |name| tree::text(&token, &[name]).to_owned();
            Some((token.get("rv")?.as_u64()?, (part("ns"), part("name"))))
        })
        .ok_or_else(|| Failure::bad_request("continue key is not valid"))
}

/// A stream of changes.
pub fn watch(cluster: &Cluster, call: &Call<'_>) -> Result<Answer, Failure> {
    let query = &call.request.query;
    let target = call.target;
    let mut selector_fields = query.get("fieldSelector").to_owned();
    if !target.name.is_empty() {
        selector_fields = format!("metadata.name={}", target.name);
    }
    let selector = Selector::parse(
        target.resource,
        query.get("labelSelector"),
        &selector_fields,
    )?;
    let send_initial = query.is_set("sendInitialEvents");
    let rule = query.get("resourceVersionMatch");
    if (rule == "NotOlderThan") == query.get("sendInitialEvents").is_empty() {
        let why = "sendInitialEvents and resourceVersionMatch \"NotOlderThan\" belong together";
        let cause = Cause::forbidden("resourceVersionMatch", why);
        return Err(Failure::invalid("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    let asked = query.number("resourceVersion")?;
    refuse_future(cluster, asked)?;
    let after = asked.filter(|asked| *asked > 0 && !send_initial);
    Ok(Answer::Watch(Box::new(WatchRequest {
        resource: target.resource,
        namespace: place(target).map(str::to_owned),
        selector,
        after,
        bookmarks: query.is_set("allowWatchBookmarks"),
        mark_initial_end: send_initial,
        timeout_seconds: query.number("timeoutSeconds")?,
    })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_continue_token_is_read_back() {
        let key = ("n".to_owned(), "a".to_owned());
        assert_eq!(read_token(&token(7, &key)), Ok((7, key)));
        assert_eq!(read_token("?").expect_err("refused").code, 400);
    }
}
