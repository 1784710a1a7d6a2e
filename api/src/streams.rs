//! How many event streams are open, and how many of them read at once.
//!
//! A stream costs little while nothing happens, and it stays: without a limit one tenant's forgotten
//! browser tabs would take every socket of the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Semaphore, SemaphorePermit};
use unity_shared::ids::TenantId;

use crate::error::ApiError;

/// Streams that callers of one tenant (or system administrators together) may have open at one API
/// process. Some dashboards and some services for every one of a team's people fit; ten tenants that
/// use it up still leave most of a process' usual 1024 sockets to requests.
pub const MOST_PER_TENANT: usize = 100;
/// Streams that read from the database at the same moment. They share its connections with requests,
/// which must find some free even while all streams have something to read.
const MOST_READING: usize = 4;

/// The open streams of this process.
#[derive(Debug)]
pub struct Streams {
    open: Arc<Mutex<Open>>,
    reading: Semaphore,
}

/// By the caller's tenant; absent = system administrators.
type Open = HashMap<Option<TenantId>, usize>;

/// An open stream's place. Dropping it gives it back.
#[derive(Debug)]
pub struct StreamPlace {
    owner: Option<TenantId>,
    open: Arc<Mutex<Open>>,
}

impl Default for Streams {
    fn default() -> Self {
        Self {
            open: Arc::default(),
            reading: Semaphore::new(MOST_READING),
        }
    }
}

impl Streams {
    /// A place for one more stream of a caller.
    pub fn enter(&self, owner: Option<&TenantId>) -> Result<StreamPlace, ApiError> {
        let owner = owner.cloned();
        let mut open = lock(&self.open);
        let count = open.entry(owner.clone()).or_default();
        if *count >= MOST_PER_TENANT {
            return Err(ApiError::TooManyStreams);
        }
        *count += 1;
        metrics::gauge!("unity_event_streams").increment(1.0);
        Ok(StreamPlace {
            owner,
            open: Arc::clone(&self.open),
        })
    }

    /// Waits for this stream's turn to read. Absent never happens: nobody closes the semaphore.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.reading.acquire().await.ok()
    }
}

impl Drop for StreamPlace {
    fn drop(&mut self) {
        let mut open = lock(&self.open);
        if let Some(count) = open.get_mut(&self.owner) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.owner);
            }
        }
        metrics::gauge!("unity_event_streams").decrement(1.0);
    }
}

/// The map is whole between any two statements, so a panic elsewhere has not broken it.
fn lock(open: &Mutex<Open>) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_many_streams_and_no_more_until_one_ends() {
        let streams = Streams::default();
        let acme = TenantId::parse("acme").unwrap();
        let mut places: Vec<StreamPlace> = (0..MOST_PER_TENANT)
            .map(|_| streams.enter(Some(&acme)).unwrap())
            .collect();
        assert!(matches!(
            streams.enter(Some(&acme)),
            Err(ApiError::TooManyStreams)
        ));
        assert!(streams.enter(None).is_ok(), "others are not concerned");
        places.pop();
        assert!(streams.enter(Some(&acme)).is_ok());
        drop(places);
        assert!(lock(&streams.open).is_empty());
    }
}
