//! Which queue a worker consumes and which of its kinds it takes.

use unity_shared::jobs::kinds::{KINDS, find_kind, queue_names};

/// The queue of every kind that names none.
const DEFAULT_QUEUE: &str = "default";

/// A queue, and some of its kinds: at least one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    queue: &'static str,
    kinds: Vec<&'static str>,
}

/// A worker that was told to do what nobody can do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentError {
    /// No kind belongs to the queue.
    #[error("there is no queue {queue:?}: the queues are {}", queue_names().join(", "))]
    UnknownQueue {
        /// The queue that was asked for.
        queue: String,
    },
    /// This binary does not know the kind.
    #[error("there is no kind of job {kind:?}: the kinds of queue {queue} are {}", kinds_of(queue).join(", "))]
    UnknownKind {
        /// The kind that was asked for.
        kind: String,
        /// The queue that it was looked for in.
        queue: &'static str,
    },
}

impl Assignment {
    /// What a worker of `pool` works on: the queue that is named, else the one of the pool's name, else
    /// `default`; and those of its kinds that are named, or all of them where none is.
    pub fn of(pool: &str, queue: Option<&str>, kinds: &[String]) -> Result<Self, AssignmentError> {
        let queue = match queue {
            Some(named) => find_queue(named).ok_or_else(|| AssignmentError::UnknownQueue {
                queue: named.to_owned(),
            })?,
            None => find_queue(pool).unwrap_or(DEFAULT_QUEUE),
        };
        let all = kinds_of(queue);
        if kinds.is_empty() {
            return Ok(Self { queue, kinds: all });
        }
        let mut taken = Vec::with_capacity(kinds.len());
        for name in kinds {
            let kind = find_kind(name)
                .filter(|kind| kind.queue == queue)
                .ok_or_else(|| AssignmentError::UnknownKind {
                    kind: name.clone(),
                    queue,
                })?;
            taken.push(kind.name);
        }
        taken.sort_unstable();
        taken.dedup();
        Ok(Self {
            queue,
            kinds: taken,
        })
    }

    /// The queue.
    #[must_use]
    pub const fn queue(&self) -> &'static str {
        self.queue
    }

    /// The kinds, sorted.
    #[must_use]
    pub fn kinds(&self) -> &[&'static str] {
        &self.kinds
    }
}

fn find_queue(name: &str) -> Option<&'static str> {
    queue_names().into_iter().find(|queue| *queue == name)
}

fn kinds_of(queue: &str) -> Vec<&'static str> {
    let mut kinds: Vec<&str> = KINDS
        .iter()
        .filter(|kind| kind.queue == queue)
        .map(|kind| kind.name)
        .collect();
    kinds.sort_unstable();
    kinds
}

#[cfg(test)]
mod tests {
    use unity_shared::jobs::{JobKind as _, kinds::Probe};

    use super::*;

    fn names(kinds: &[&str]) -> Vec<String> {
        kinds.iter().map(|kind| (*kind).to_owned()).collect()
    }

    #[test]
    fn a_pool_consumes_the_queue_of_its_name_or_the_default_one() {
        for pool in [DEFAULT_QUEUE, "imaging"] {
            let assignment = Assignment::of(pool, None, &[]).unwrap();
            assert_eq!(assignment.queue(), DEFAULT_QUEUE);
            assert_eq!(assignment.kinds(), kinds_of(DEFAULT_QUEUE));
        }
    }

    #[test]
    fn a_worker_takes_the_kinds_that_it_is_told() {
        let told = names(&[Probe::NAME, Probe::NAME]);
        let assignment = Assignment::of("imaging", Some(DEFAULT_QUEUE), &told).unwrap();
        assert_eq!(assignment.kinds(), [Probe::NAME]);
    }

    #[test]
    fn an_unknown_queue_or_kind_is_named_with_what_there_is() {
        let error = Assignment::of("default", Some("imaging"), &[]).unwrap_err();
        assert!(error.to_string().contains("\"imaging\""), "{error}");
        let error = Assignment::of("default", None, &names(&["dance"])).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("\"dance\"") && text.contains(Probe::NAME),
            "{text}"
        );
    }
}
