//! A stream of changes to a collection: what exists, what happens, bookmarks, and the end.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::present::Form;
use crate::resources::Resource;
use crate::selector::Selector;
use crate::server::App;
use crate::status::Failure;
use crate::store::{Change, Event, Forgotten, Store};
use crate::{present, tree};

/// A client that sets no time-out is sent away after this; it comes back by itself.
const DEFAULT_TIMEOUT: Duration = Duration::from_mins(45);
/// How often a quiet watch is told the current revision.
const BOOKMARK_EVERY: Duration = Duration::from_mins(1);

/// What a client wants to see.
#[derive(Debug)]
pub struct WatchRequest {
    /// The resource.
    pub resource: &'static Resource,
    /// One namespace, or all.
    pub namespace: Option<String>,
    /// Which objects.
    pub selector: Selector,
    /// Only what happened after this revision; `None`: first what exists.
    pub after: Option<u64>,
    /// Whether the client understands bookmarks.
    pub bookmarks: bool,
    /// Whether a bookmark marks the end of what exists.
    pub mark_initial_end: bool,
    /// When to end the stream.
    pub timeout_seconds: Option<u64>,
}

/// One line of the stream.
#[derive(Debug, Clone, PartialEq)]
struct Line {
    kind: &'static str,
    object: Arc<Value>,
}

impl WatchRequest {
    fn covers(&self, change: &Change) -> bool {
        change.resource == self.resource
            && self
                .namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == change.key.0)
    }

    /// The objects that exist, as if they had just been added.
    fn initial(&self, store: &Store) -> Vec<Line> {
        let mut lines: Vec<Line> = store
            .list(self.resource, self.namespace.as_deref())
            .filter(|object| self.selector.matches(object))
            .map(|object| Line {
                kind: "ADDED",
                object: Arc::clone(object),
            })
            .collect();
        if self.mark_initial_end {
            lines.push(self.bookmark(store.revision(), true));
        }
        lines
    }

    /// What the client must hear after `cursor`.
    fn since(&self, store: &Store, cursor: u64) -> Result<Vec<Line>, Forgotten> {
        let changes = store.changes_after(cursor)?;
        Ok(changes
            .filter(|change| self.covers(change))
            .filter_map(|c| self.seen(c))
            .collect())
    }

    /// A change as the client's selector sees it: an object that starts or stops matching comes
    /// or goes, whatever really happened to it.
    fn seen(&self, change: &Change) -> Option<Line> {
        let was_seen = change
            .previous
            .as_ref()
            .is_some_and(|one| self.selector.matches(one));
        let is_seen = change.event != Event::Deleted && self.selector.matches(&change.object);
        let kind = match (was_seen, is_seen) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        Some(Line {
            kind,
            object: Arc::clone(&change.object),
        })
    }

    fn bookmark(&self, revision: u64, is_initial_end: bool) -> Line {
        let mut object = json!({
            "kind": self.resource.kind,
            "apiVersion": self.resource.api_version(),
            "metadata": {"resourceVersion": revision.to_string()},
        });
        if is_initial_end {
            tree::put(
                &mut object,
                &["metadata", "annotations", "k8s.io/initial-events-end"],
                "true",
            );
        }
        Line {
            kind: "BOOKMARK",
            object: Arc::new(object),
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout_seconds
            .filter(|s| *s > 0)
            .map_or(DEFAULT_TIMEOUT, Duration::from_secs)
    }
}

/// A running watch.
struct Watcher {
    app: Arc<App>,
    request: WatchRequest,
    form: Form,
    cursor: u64,
    lines: VecDeque<Line>,
    revisions: watch::Receiver<u64>,
    stop: CancellationToken,
    deadline: Instant,
    is_finished: bool,
}

/// The body of a watch response: one JSON object per line until the time-out, the shutdown of the
/// server, or an error that the client must answer with a new list.
pub fn stream(
    app: Arc<App>,
    request: WatchRequest,
    form: Form,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let watcher = Watcher {
        revisions: app.revisions(),
        stop: app.stopping(),
        deadline: Instant::now() + request.timeout(),
        cursor: request.after.unwrap_or_default(),
        lines: VecDeque::new(),
        is_finished: false,
        app,
        request,
        form,
    };
    futures::stream::unfold(watcher.started(), |mut watcher| async move {
        let line = watcher.next().await?;
        let bytes = watcher.encode(&line);
        Some((Ok(bytes), watcher))
    })
}

impl Watcher {
    fn started(mut self) -> Self {
        if self.request.after.is_none() {
            let app = Arc::clone(&self.app);
            app.read(|cluster| {
                self.lines.extend(self.request.initial(&cluster.store));
                self.cursor = cluster.store.revision();
            });
        }
        self
    }

    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Some(line);
            }
            if self.is_finished {
                return None;
            }
            self.revisions.borrow_and_update();
            self.catch_up();
            if self.lines.is_empty() && !self.is_finished {
                self.wait().await;
            }
        }
    }

    fn catch_up(&mut self) {
        let app = Arc::clone(&self.app);
        app.read(
            |cluster| match self.request.since(&cluster.store, self.cursor) {
                Ok(lines) => {
                    self.lines.extend(lines);
                    self.cursor = cluster.store.revision();
                }
                Err(Forgotten { oldest }) => {
                    let message = format!("too old resource version: {} ({oldest})", self.cursor);
                    let object = Arc::new(Failure::expired(message).to_status());
                    self.lines.push_back(Line {
                        kind: "ERROR",
                        object,
                    });
                    self.is_finished = true;
                }
            },
        );
    }

    async fn wait(&mut self) {
        let quiet = Instant::now() + BOOKMARK_EVERY;
        tokio::select! {
            () = self.stop.cancelled() => self.is_finished = true,
            () = tokio::time::sleep_until(self.deadline.min(quiet)) => {
                self.is_finished = Instant::now() >= self.deadline;
                if self.request.bookmarks {
                    self.lines.push_back(self.request.bookmark(self.cursor, false));
                }
            }
            changed = self.revisions.changed() => self.is_finished = changed.is_err(),
        }
    }

    fn encode(&self, line: &Line) -> Bytes {
        let object = if line.kind == "ERROR" {
            Value::clone(&line.object)
        } else {
            let now = self.app.now();
            present::object(&self.form, Some(self.request.resource), &line.object, now)
        };
        let mut text = json!({"type": line.kind, "object": object}).to_string();
        text.push('\n');
        Bytes::from(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources;

    fn request(labels: &str) -> WatchRequest {
        let resource = resources::find("", "v1", "configmaps").expect("served");
        WatchRequest {
            resource,
            namespace: Some("n".to_owned()),
            selector: Selector::parse(resource, labels, "").expect("parses"),
            after: None,
            bookmarks: false,
            mark_initial_end: false,
            timeout_seconds: None,
        }
    }

    fn object(label: &str) -> Value {
        json!({"metadata": {"namespace": "n", "name": "a", "labels": {"app": label}}})
    }

    #[test]
    fn an_object_comes_and_goes_with_its_labels() {
        let request = request("app=web");
        let mut store = Store::default();
        for label in ["db", "web", "web", "db"] {
            store.put(request.resource, object(label));
        }
        let kinds: Vec<_> = request
            .since(&store, 0)
            .expect("remembered")
            .into_iter()
            .map(|line| line.kind)
            .collect();
        assert_eq!(kinds, ["ADDED", "MODIFIED", "DELETED"]);
    }

    #[test]
    fn other_namespaces_and_resources_are_not_heard() {
        let request = request("");
        let mut store = Store::default();
        store.put(
            request.resource,
            json!({"metadata": {"namespace": "m", "name": "a"}}),
        );
        let secrets = resources::find("", "v1", "secrets").expect("served");
        store.put(secrets, object("web"));
        assert_eq!(request.since(&store, 0), Ok(Vec::new()));
    }

    #[test]
    fn the_end_of_what_exists_is_marked_when_asked_for() {
        let mut request = request("");
        request.mark_initial_end = true;
        let mut store = Store::default();
        store.put(request.resource, object("web"));
        let lines = request.initial(&store);
        assert_eq!(
            lines.iter().map(|line| line.kind).collect::<Vec<_>>(),
            ["ADDED", "BOOKMARK"]
        );
    }
}
