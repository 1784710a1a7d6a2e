//! What was asked of the server: counters and the latest requests, for tests that must know that
//! nothing was written.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// How many of the latest requests are kept.
const KEPT: usize = 10_000;

/// A handle on the log of a running server; clones see the same log.
#[derive(Debug, Clone, Default)]
pub struct RequestLog {
    inner: Arc<Mutex<Entries>>,
}

#[derive(Debug, Default)]
struct Entries {
    writes: u64,
    total: u64,
    latest: VecDeque<(String, String)>,
}

impl RequestLog {
    /// Adds a request.
    pub(crate) fn record(&self, method: &str, path: &str) {
        let mut entries = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        entries.total += 1;
        if ["POST", "PUT", "PATCH", "DELETE"].contains(&method) {
            entries.writes += 1;
        }
        entries
            .latest
            .push_back((method.to_owned(), path.to_owned()));
        if entries.latest.len() > KEPT {
            entries.latest.pop_front();
        }
    }

    /// How many requests with `POST`, `PUT`, `PATCH` or `DELETE` came in since the start, refused
    /// ones and dry runs included.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .writes
    }

    /// How many requests came in since the start.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .total
    }

    /// Method and path (without query) of the latest 10,000 requests, oldest first.
    #[must_use]
    pub fn entries(&self) -> Vec<(String, String)> {
        let entries = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        entries.latest.iter().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_are_listed_and_writes_are_counted() {
        let log = RequestLog::default();
        log.record("GET", "/a");
        log.record("PATCH", "/b");
        assert_eq!((log.writes(), log.total(), log.entries().len()), (1, 2, 2));
    }
}
