//! Cluster roles that collect the rules of other cluster roles by label.

use serde_json::Value;

use crate::cluster::{Cluster, controller};
use crate::selector::Selector;
use crate::{managed_fields, resources, tree, write};

/// Rounds until roles that collect collecting roles come to rest; nobody nests them deeper.
const ROUNDS: usize = 4;

/// Brings the rules of all collecting roles up to date.
pub fn refresh(cluster: &mut Cluster) {
    for _ in 0..ROUNDS {
        if !refresh_once(cluster) {
            return;
        }
    }
}

fn refresh_once(cluster: &mut Cluster) -> bool {
    let Some(roles) = resources::stored("rbac.authorization.k8s.io", "clusterroles") else {
        return false;
    };
    let all: Vec<_> = cluster.store.list(roles, None).cloned().collect();
    let mut has_changed = false;
    for role in &all {
        let selectors = tree::items(role, &["aggregationRule", "clusterRoleSelectors"]);
        if selectors.is_empty() {
            continue;
        }
        let selectors: Vec<Selector> = selectors.iter().map(Selector::from_object).collect();
        let mut collected: Vec<Value> = Vec::new();
        let sources = all.iter().filter(|one| {
            tree::text(one, &["metadata", "name"]) != tree::text(role, &["metadata", "name"])
                && selectors.iter().any(|selector| selector.matches(one))
        });
        for rule in sources.flat_map(|source| tree::items(source, &["rules"])) {
            if !collected.contains(rule) {
                collected.push(rule.clone());
            }
        }
        if tree::items(role, &["rules"]) == collected {
            continue;
        }
        let mut object = Value::clone(role);
        tree::put(&mut object, &["rules"], collected);
        let writer = controller(cluster, "");
        let shape = write::shape_of(roles);
        managed_fields::record_update(&shape, Some(role), &mut object, &writer);
        cluster.store.put(roles, object);
        has_changed = true;
    }
    has_changed
}
