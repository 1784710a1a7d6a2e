//! How far the loops that look at everything bit by bit have come.
//!
//! A place that is lost with the process costs nothing: the next one starts over.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use unity_shared::ids::{JobId, TenantId};

/// The places. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Cursors(Arc<Mutex<Places>>);

#[derive(Debug, Default)]
struct Places {
    queued: Option<(TenantId, JobId)>,
    known: u64,
}

impl Cursors {
    pub(crate) fn queued(&self) -> Option<(TenantId, JobId)> {
        self.lock().queued.clone()
    }

    pub(crate) fn set_queued(&self, last: Option<(TenantId, JobId)>) {
        self.lock().queued = last;
    }

    pub(crate) fn known(&self) -> u64 {
        self.lock().known
    }

    pub(crate) fn set_known(&self, cursor: u64) {
        self.lock().known = cursor;
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Each place is written as a whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
