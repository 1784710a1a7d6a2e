//! The line in which a job waits: what its tenant has of one kind in one queue.

use std::{collections::HashMap, hash::Hash};

use crate::ids::TenantId;

/// A line. What is said to the gate of several jobs is said once for each line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Line {
    /// Whose jobs.
    pub tenant_id: TenantId,
    /// The queue that their kind belongs to.
    pub queue: String,
    /// Their kind.
    pub kind: String,
}

/// Items apart by what they have in common, in the order in which that first appears.
pub(super) fn apart<T, K: Hash + Eq + Copy>(
    items: impl IntoIterator<Item = T>,
    common: impl Fn(&T) -> K,
) -> Vec<(K, Vec<T>)> {
    let mut places: HashMap<K, usize> = HashMap::new();
    let mut groups: Vec<(K, Vec<T>)> = Vec::new();
    // Neighbours mostly belong together.
    let mut last: Option<(K, usize)> = None;
    for item in items {
        let key = common(&item);
        let place = match last {
            Some((before, place)) if before == key => place,
            _ => *places.entry(key).or_insert_with(|| {
                groups.push((key, Vec::new()));
                groups.len() - 1
            }),
        };
        last = Some((key, place));
        if let Some((_, group)) = groups.get_mut(place) {
            group.push(item);
        }
    }
    groups
}

/// Texts of ids as the scripts read them.
pub(super) fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let mut text = String::new();
    for item in items {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(&item.to_string());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_stay_in_their_order() {
        let groups = apart([3, 10, 5, 20, 7], |number| number % 2 == 0);
        assert_eq!(groups, [(false, vec![3, 5, 7]), (true, vec![10, 20])]);
        assert_eq!(list([1, 2]), "1,2");
        assert_eq!(list::<u8>([]), "");
    }
}
