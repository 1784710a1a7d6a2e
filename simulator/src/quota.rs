//! `ResourceQuota`: what objects count for, what a namespace uses, and the refusal of what exceeds.
//!
//! Quotas with scopes are not enforced and report no use: scopes select running pods, and nothing
//! runs here.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::cluster::{Cluster, controller};
use crate::quantity::Quantity;
use crate::resources::{self, Resource};
use crate::status::Failure;
use crate::store::Store;
use crate::{managed_fields, tree, write};

type Amounts = BTreeMap<String, Quantity>;

/// Resources that are also counted under their bare name.
const COUNTED_BY_NAME: &[&str] = &[
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
];

fn quotas() -> Option<&'static Resource> {
    resources::stored("", "resourcequotas")
}

fn is_scoped(quota: &Value) -> bool {
    tree::at(quota, &["spec", "scopes"]).is_some()
        || tree::at(quota, &["spec", "scopeSelector"]).is_some()
}

fn add(amounts: &mut Amounts, name: String, amount: Quantity) {
    let sum = amounts
        .get(&name)
        .map_or(amount, |before| before.plus(amount));
    amounts.insert(name, sum);
}

/// What one object uses.
fn charges(resource: &Resource, object: &Value) -> Amounts {
    let mut amounts = Amounts::new();
    add(
        &mut amounts,
        format!("count/{}", resource.qualified()),
        Quantity::count(1),
    );
    let is_over = ["Succeeded", "Failed"].contains(&tree::text(object, &["status", "phase"]));
    if resource.group.is_empty() && COUNTED_BY_NAME.contains(&resource.plural) && !is_over {
        add(&mut amounts, resource.plural.to_owned(), Quantity::count(1));
    }
    match resource.kind {
        "Service" => charge_service(object, &mut amounts),
        "PersistentVolumeClaim" => charge_claim(object, &mut amounts),
        "Pod" if !is_over => charge_pod(object, &mut amounts),
        _ => {}
    }
    amounts
}

fn charge_service(object: &Value, amounts: &mut Amounts) {
    let kind = tree::text(object, &["spec", "type"]);
    let ports = tree::items(object, &["spec", "ports"]).len();
    if kind == "LoadBalancer" {
        add(
            amounts,
            "services.loadbalancers".to_owned(),
            Quantity::count(1),
        );
    }
    if kind == "NodePort" || kind == "LoadBalancer" {
        add(
            amounts,
            "services.nodeports".to_owned(),
            Quantity::count(ports),
        );
    }
}

fn charge_claim(object: &Value, amounts: &mut Amounts) {
    let text = tree::text(object, &["spec", "resources", "requests", "storage"]);
    let Some(amount) = Quantity::parse(text) else {
        return;
    };
    add(amounts, "requests.storage".to_owned(), amount);
    let class = tree::text(object, &["spec", "storageClassName"]);
    if !class.is_empty() {
        let prefix = format!("{class}.storageclass.storage.k8s.io");
        add(amounts, format!("{prefix}/requests.storage"), amount);
        add(
            amounts,
            format!("{prefix}/persistentvolumeclaims"),
            Quantity::count(1),
        );
    }
}

fn charge_pod(object: &Value, amounts: &mut Amounts) {
    for container in tree::items(object, &["spec", "containers"]) {
        for list in ["requests", "limits"] {
            let given = tree::at(container, &["resources", list]).and_then(Value::as_object);
            for (name, amount) in given.into_iter().flatten() {
                let Some(amount) = amount.as_str().and_then(Quantity::parse) else {
                    continue;
                };
                add(amounts, format!("{list}.{name}"), amount);
                if list == "requests" {
                    add(amounts, name.clone(), amount);
                }
            }
        }
    }
}

/// The compute amounts that a pod must state because the quota limits them, and does not.
fn unstated(resource: &Resource, object: &Value, hard: &Map<String, Value>) -> Vec<String> {
    if resource.kind != "Pod" {
        return Vec::new();
    }
    let compute = [
        "cpu",
        "memory",
        "requests.cpu",
        "requests.memory",
        "limits.cpu",
        "limits.memory",
    ];
    compute
        .iter()
        .filter(|name| hard.contains_key(**name))
        .filter_map(|name| {
            let (list, amount) = name.split_once('.').unwrap_or(("requests", name));
            let silent: Vec<&str> = tree::items(object, &["spec", "containers"])
                .iter()
                .filter(|one| tree::at(one, &["resources", list, amount]).is_none())
                .map(|one| tree::text(one, &["name"]))
                .collect();
            (!silent.is_empty()).then(|| format!("{name} for: {}", silent.join(",")))
        })
        .collect()
}

/// What all objects of a namespace use together.
fn usage(store: &Store, namespace: &str) -> Amounts {
    let mut all = Amounts::new();
    for (resource, _) in store.tables().filter(|(resource, _)| resource.namespaced) {
        for object in store.list(resource, Some(namespace)) {
            for (name, amount) in charges(resource, object) {
                add(&mut all, name, amount);
            }
        }
    }
    all
}

/// Refuses what would use more than a quota of its namespace allows. With `live` only what the
/// change adds counts.
///
/// # Errors
/// 403 that names the quota, what was requested, used, and allowed.
pub fn admit(
    store: &Store,
    resource: &Resource,
    live: Option<&Value>,
    object: &Value,
) -> Result<(), Failure> {
    let namespace = tree::text(object, &["metadata", "namespace"]);
    let Some(quotas) = quotas().filter(|_| resource.namespaced) else {
        return Ok(());
    };
    let in_force: Vec<&Arc<Value>> = store
        .list(quotas, Some(namespace))
        .filter(|quota| !is_scoped(quota))
        .collect();
    if in_force.is_empty() {
        return Ok(());
    }
    let before = live.map(|live| charges(resource, live)).unwrap_or_default();
    let mut asked = charges(resource, object);
    for (name, amount) in &before {
        if let Some(asked) = asked.get_mut(name) {
            *asked = asked.minus(*amount);
        }
    }
    asked.retain(|_, amount| amount.is_positive());
    let used = usage(store, namespace);
    let name = tree::text(object, &["metadata", "name"]);
    for quota in in_force {
        let title = tree::text(quota, &["metadata", "name"]);
        let none = Map::new();
        let hard = tree::at(quota, &["spec", "hard"])
            .and_then(Value::as_object)
            .unwrap_or(&none);
        let silent = if live.is_none() {
            unstated(resource, object, hard)
        } else {
            Vec::new()
        };
        if !silent.is_empty() {
            let why = format!("failed quota: {title}: must specify {}", silent.join("; "));
            return Err(Failure::forbidden(resource, name, &why));
        }
        if let Some(why) = exceeded(title, hard, &asked, &used) {
            return Err(Failure::forbidden(resource, name, &why));
        }
    }
    Ok(())
}

fn exceeded(
    title: &str,
    hard: &Map<String, Value>,
    asked: &Amounts,
    used: &Amounts,
) -> Option<String> {
    let (mut requested, mut taken, mut limited) = (Vec::new(), Vec::new(), Vec::new());
    for (name, limit) in hard {
        let limit = limit.as_str().and_then(Quantity::parse);
        let Some((limit, amount)) = limit.zip(asked.get(name).copied()) else {
            continue;
        };
        let now = used
            .get(name)
            .copied()
            .unwrap_or_else(|| Quantity::count(0));
        if now.plus(amount).exceeds(limit) {
            requested.push(format!("{name}={}", amount.canonical()));
            taken.push(format!("{name}={}", now.canonical()));
            limited.push(format!("{name}={}", limit.canonical()));
        }
    }
    (!requested.is_empty()).then(|| {
        format!(
            "exceeded quota: {title}, requested: {}, used: {}, limited: {}",
            requested.join(","),
            taken.join(","),
            limited.join(",")
        )
    })
}

/// Brings the status of the namespace's quotas up to date.
pub fn refresh(cluster: &mut Cluster, namespace: &str) {
    let Some(quotas) = quotas() else { return };
    let found: Vec<Arc<Value>> = cluster
        .store
        .list(quotas, Some(namespace))
        .cloned()
        .collect();
    if found.is_empty() {
        return;
    }
    let used = usage(&cluster.store, namespace);
    for quota in found {
        let hard = tree::at(&quota, &["spec", "hard"])
            .cloned()
            .unwrap_or_else(|| json!({}));
        let none = Amounts::new();
        let counted = if is_scoped(&quota) { &none } else { &used };
        let report: Map<String, Value> = hard
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, _)| {
                let amount = counted
                    .get(name)
                    .copied()
                    .unwrap_or_else(|| Quantity::count(0));
                (name.clone(), json!(amount.canonical()))
            })
            .collect();
        let status = json!({"hard": hard, "used": report});
        if quota.get("status") == Some(&status) {
            continue;
        }
        let mut object = Value::clone(&quota);
        tree::put(&mut object, &["status"], status);
        let writer = controller(cluster, "status");
        let shape = write::shape_of(quotas);
        managed_fields::record_update(&shape, Some(&quota), &mut object, &writer);
        cluster.store.put(quotas, object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_names_only_what_is_exceeded() {
        let hard = json!({"configmaps": "1", "count/configmaps": "5"});
        let one: Amounts = [("configmaps", 1), ("count/configmaps", 1)]
            .map(|(name, count)| (name.to_owned(), Quantity::count(count)))
            .into();
        let hard = hard.as_object().expect("map");
        assert_eq!(
            exceeded("q", hard, &one, &one),
            Some(
                "exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: \
                 configmaps=1"
                    .to_owned()
            )
        );
        assert_eq!(exceeded("q", hard, &one, &Amounts::new()), None);
    }

    #[test]
    fn a_load_balancer_counts_three_times() {
        let resource = resources::find("", "v1", "services").expect("served");
        let object = json!({"spec": {"type": "LoadBalancer", "ports": [{}, {}]}});
        let found: Vec<_> = charges(resource, &object)
            .into_iter()
            .map(|(name, amount)| format!("{name}={}", amount.canonical()))
            .collect();
        assert_eq!(
            found,
            [
                "count/services=1",
                "services=1",
                "services.loadbalancers=1",
                "services.nodeports=2"
            ]
        );
    }
}
