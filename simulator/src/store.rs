//! All objects in memory, one counter of revisions, and the recent changes that watches replay.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

use crate::resources::{self, Resource};
use crate::tree;

/// Where an object is among those of its resource: namespace (empty for cluster scope) and name.
pub type Key = (String, String);

/// Objects of one resource, in the order of lists.
pub type Objects = BTreeMap<Key, Arc<Value>>;

/// How many changes watches and paged lists can go back.
pub const REMEMBERED_CHANGES: usize = 20_000;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It came to be.
    Added,
    /// It was changed.
    Modified,
    /// It is gone.
    Deleted,
}

/// One step of the history.
#[derive(Debug, Clone)]
pub struct Change {
    /// Revision that the step made.
    pub revision: u64,
    /// What it is about.
    pub resource: &'static Resource,
    /// Which object.
    pub key: Key,
    /// What happened.
    pub event: Event,
    /// The object after it; for a deletion its last state, at the revision of the deletion.
    pub object: Arc<Value>,
    /// The object before it.
    pub previous: Option<Arc<Value>>,
}

/// The revision asked for is older than what is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forgotten {
    /// The oldest revision from which one can continue.
    pub oldest: u64,
}

/// The objects and their recent history.
#[derive(Debug, Clone, Default)]
pub struct Store {
    revision: u64,
    forgotten: u64,
    tables: BTreeMap<(&'static str, &'static str), Objects>,
    history: VecDeque<Change>,
}

impl Store {
    /// An empty store that goes on counting after `revision`.
    pub fn starting_after(revision: u64) -> Self {
        Self {
            revision,
            forgotten: revision,
            ..Self::default()
        }
    }

    /// The revision of the latest change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The oldest revision from which a watch can continue.
    pub fn oldest(&self) -> u64 {
        self.forgotten
    }

    /// A copy without history, to try writes on.
    pub fn scratch(&self) -> Self {
        Self {
            revision: self.revision,
            forgotten: self.revision,
            tables: self.tables.clone(),
            history: VecDeque::new(),
        }
    }

    /// The objects of a resource.
    pub fn table(&self, resource: &Resource) -> Option<&Objects> {
        self.tables.get(&(resource.group, resource.plural))
    }

    /// The objects of a resource in one namespace, or everywhere with `None`.
    pub fn list<'a>(
        &'a self,
        resource: &Resource,
        namespace: Option<&'a str>,
    ) -> impl Iterator<Item = &'a Arc<Value>> {
        let everywhere = namespace.is_none();
        let start = (namespace.unwrap_or_default().to_owned(), String::new());
        self.table(resource)
            .into_iter()
            .flat_map(move |objects| objects.range(start.clone()..))
            .take_while(move |((here, _), _)| everywhere || Some(here.as_str()) == namespace)
            .map(|(_, object)| object)
    }

    /// One object.
    pub fn get(&self, resource: &Resource, namespace: &str, name: &str) -> Option<&Arc<Value>> {
        self.table(resource)?
            .get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Every stored resource with its objects.
    pub fn tables(&self) -> impl Iterator<Item = (&'static Resource, &Objects)> {
        self.tables.iter().filter_map(|((group, plural), objects)| {
            Some((resources::stored(group, plural)?, objects))
        })
    }

    /// Stores an object at the next revision and returns it as stored.
    pub fn put(&mut self, resource: &'static Resource, mut object: Value) -> Arc<Value> {
        self.revision += 1;
        tree::put(
            &mut object,
            &["metadata", "resourceVersion"],
            self.revision.to_string(),
        );
        let object = Arc::new(object);
        let key = key_of(&object);
        let previous = self.insert(resource, key.clone(), Arc::clone(&object));
        let event = if previous.is_some() {
            Event::Modified
        } else {
            Event::Added
        };
        self.remember(Change {
            revision: self.revision,
            resource,
            key,
            event,
            object: Arc::clone(&object),
            previous,
        });
        object
    }

    /// Puts back an object as it was saved, without making history.
    pub fn restore(&mut self, resource: &'static Resource, object: Value) {
        self.insert(resource, key_of(&object), Arc::new(object));
    }

    fn insert(
        &mut self,
        resource: &'static Resource,
        key: Key,
        object: Arc<Value>,
    ) -> Option<Arc<Value>> {
        self.tables
            .entry((resource.group, resource.plural))
            .or_default()
            .insert(key, object)
    }

    /// Removes an object and returns its last state at the revision of the removal.
    pub fn remove(
        &mut self,
        resource: &'static Resource,
        namespace: &str,
        name: &str,
    ) -> Option<Arc<Value>> {
        let key = (namespace.to_owned(), name.to_owned());
        let previous = self
            .tables
            .get_mut(&(resource.group, resource.plural))?
            .remove(&key)?;
        self.revision += 1;
        let mut last = Value::clone(&previous);
        tree::put(
            &mut last,
            &["metadata", "resourceVersion"],
            self.revision.to_string(),
        );
        let object = Arc::new(last);
        self.remember(Change {
            revision: self.revision,
            resource,
            key,
            event: Event::Deleted,
            object: Arc::clone(&object),
            previous: Some(previous),
        });
        Some(object)
    }

    fn remember(&mut self, change: Change) {
        self.history.push_back(change);
        while self.history.len() > REMEMBERED_CHANGES {
            if let Some(oldest) = self.history.pop_front() {
                self.forgotten = oldest.revision;
            }
        }
    }

    /// The changes after `revision`, oldest first.
    ///
    /// # Errors
    /// [`Forgotten`] when some of them are no longer remembered.
    pub fn changes_after(&self, revision: u64) -> Result<impl Iterator<Item = &Change>, Forgotten> {
        if revision < self.forgotten {
            return Err(Forgotten {
                oldest: self.forgotten,
            });
        }
        let first = self
            .history
            .partition_point(|change| change.revision <= revision);
        Ok(self.history.range(first..))
    }

    /// The objects of a resource as they were at `revision`.
    ///
    /// # Errors
    /// [`Forgotten`] when that is too long ago.
    pub fn table_at(&self, resource: &Resource, revision: u64) -> Result<Objects, Forgotten> {
        let mut objects = self.table(resource).cloned().unwrap_or_default();
        let later: Vec<&Change> = self.changes_after(revision)?.collect();
        for change in later
            .into_iter()
            .rev()
            .filter(|change| change.resource == resource)
        {
            match &change.previous {
                Some(previous) => objects.insert(change.key.clone(), Arc::clone(previous)),
                None => objects.remove(&change.key),
            };
        }
        Ok(objects)
    }
}

/// Where an object belongs.
pub fn key_of(object: &Value) -> Key {
    let part = |name| tree::text(object, &["metadata", name]).to_owned();
    (part("namespace"), part("name"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn config_maps() -> &'static Resource {
        resources::find("", "v1", "configmaps").expect("served")
    }

    fn object(name: &str, value: i64) -> Value {
        json!({"metadata": {"namespace": "n", "name": name}, "data": value})
    }

    #[test]
    fn every_change_has_its_own_revision_and_can_be_replayed() {
        let mut store = Store::default();
        store.put(config_maps(), object("a", 1));
        store.put(config_maps(), object("a", 2));
        store.remove(config_maps(), "n", "a");
        let seen: Vec<_> = store
            .changes_after(1)
            .expect("remembered")
            .map(|change| (change.revision, change.event))
            .collect();
        assert_eq!(seen, [(2, Event::Modified), (3, Event::Deleted)]);
    }

    #[test]
    fn the_past_can_be_listed() {
        let mut store = Store::default();
        store.put(config_maps(), object("a", 1));
        store.put(config_maps(), object("b", 1));
        store.put(config_maps(), object("a", 2));
        store.remove(config_maps(), "n", "b");
        let past = store.table_at(config_maps(), 2).expect("remembered");
        let values: Vec<_> = past
            .values()
            .map(|one| tree::number(one, &["data"]))
            .collect();
        assert_eq!(values, [Some(1), Some(1)]);
    }

    #[test]
    fn what_is_too_long_ago_is_forgotten() {
        let store = Store::starting_after(10);
        assert_eq!(store.changes_after(9).err(), Some(Forgotten { oldest: 10 }));
        assert!(store.changes_after(10).is_ok());
    }
}
