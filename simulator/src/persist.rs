//! The state file: all objects as one JSON document, replaced as a whole so that a crash leaves
//! the old one or the new one, never half of one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::resources::{self, Resource};
use crate::store::Store;

/// A kill may lose the last moments of the file but not what clients saw of the revision, so
/// counting goes on well after the saved one.
const REVISION_GAP: u64 = 100_000;

#[derive(Debug, Serialize, Deserialize)]
struct State {
    revision: u64,
    objects: BTreeMap<String, Vec<Arc<Value>>>,
}

/// A copy of everything, cheap to take under the lock and written without it.
#[derive(Debug)]
pub struct Snapshot(State);

/// Takes a snapshot.
pub fn snapshot(store: &Store) -> Snapshot {
    let objects = store
        .tables()
        .map(|(resource, objects)| (key(resource), objects.values().cloned().collect()))
        .collect();
    Snapshot(State {
        revision: store.revision(),
        objects,
    })
}

fn key(resource: &Resource) -> String {
    format!("{}/{}", resource.group, resource.plural)
}

/// Writes a snapshot over the file.
///
/// # Errors
/// Whatever the file system says.
pub fn save(snapshot: &Snapshot, path: &Path) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let beside = path.with_file_name(name);
    if let Some(directory) = path.parent().filter(|one| !one.as_os_str().is_empty()) {
        fs::create_dir_all(directory)?;
    }
    let mut file = BufWriter::new(File::create(&beside)?);
    serde_json::to_writer(&mut file, &snapshot.0)?;
    file.flush()?;
    file.get_ref().sync_all()?;
    fs::rename(&beside, path)
}

/// Reads the store back; an empty one when there is no file yet.
///
/// # Errors
/// Whatever the file system says; `InvalidData` when the file is no state.
pub fn load(path: &Path) -> io::Result<Store> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Store::default()),
        Err(error) => return Err(error),
    };
    let state: State = serde_json::from_slice(&bytes)?;
    let mut store = Store::starting_after(state.revision + REVISION_GAP);
    for (key, objects) in state.objects {
        let found = key
            .split_once('/')
            .and_then(|(group, name)| resources::stored(group, name));
        if let Some(resource) = found {
            for object in objects {
                store.restore(resource, Arc::unwrap_or_clone(object));
            }
        }
    }
    Ok(store)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn objects_come_back_and_revisions_go_on() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("deep/state.json");
        let resource = resources::find("", "v1", "configmaps").expect("served");
        let mut store = Store::default();
        let object = store.put(
            resource,
            json!({"metadata": {"namespace": "n", "name": "a"}}),
        );
        save(&snapshot(&store), &path).expect("saved");
        let back = load(&path).expect("loaded");
        assert_eq!(back.get(resource, "n", "a"), Some(&object));
        assert!(back.revision() > store.revision());
        assert!(back.changes_after(store.revision()).is_err());
    }

    #[test]
    fn a_missing_file_is_an_empty_store_and_a_broken_one_is_an_error() {
        let directory = tempfile::tempdir().expect("temporary directory");
        let path = directory.path().join("state.json");
        assert_eq!(load(&path).expect("empty").revision(), 0);
        fs::write(&path, "{").expect("written");
        assert!(load(&path).is_err());
    }
}
