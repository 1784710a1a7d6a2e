//! How many jobs this worker takes at once, while operators change it.
//!
//! The pool's setting wins over the worker's own; a paused pool and a stopping worker take nothing.
//! A lower number ends no job: places are taken away as they become free.

use std::sync::Arc;

use tokio::sync::{Semaphore, watch};

/// What the pool's row says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PoolSetting {
    /// Jobs at once of each worker; absent = as the worker was started.
    pub concurrency: Option<u32>,
    /// Whether its workers take nothing.
    pub paused: bool,
}

/// The number in force, and the places of the jobs.
#[derive(Debug, Clone)]
pub(super) struct Capacity {
    own: u32,
    sender: Arc<watch::Sender<State>>,
    places: Arc<Semaphore>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    pool: PoolSetting,
    closed: bool,
}

impl Capacity {
    /// A worker that was started to take `own` jobs at once.
    pub(super) fn new(own: u32) -> Self {
        let state = State {
            pool: PoolSetting::default(),
            closed: false,
        };
        Self {
            own,
            sender: Arc::new(watch::channel(state).0),
            places: Arc::new(Semaphore::new(count(own))),
        }
    }

    /// Jobs that it takes at once now.
    pub(super) fn current(&self) -> u32 {
        let State { pool, closed } = *self.sender.borrow();
        if closed || pool.paused {
            0
        } else {
            pool.concurrency.unwrap_or(self.own)
        }
    }

    /// One place for each job. Places may be fewer than [`Capacity::current`] says for a moment.
    pub(super) fn places(&self) -> Arc<Semaphore> {
        Arc::clone(&self.places)
    }

    /// Notes what the pool's row says.
    pub(super) fn set_pool(&self, pool: PoolSetting) {
        self.sender.send_if_modified(|state| {
            let changed = state.pool != pool;
            state.pool = pool;
            changed
        });
    }

    /// Takes nothing any more.
    pub(super) fn close(&self) {
        self.sender.send_modify(|state| state.closed = true);
    }

    /// Tells of changes from now on.
    pub(super) fn changes(&self) -> Changes {
        Changes(self.sender.subscribe())
    }

    /// Brings the places to the number in force, until dropped. A stop takes none away: what was
    /// fetched before it still runs.
    pub(super) async fn keep_places(self) {
        let mut changes = self.changes();
        let mut have = self.own;
        loop {
            let closed = self.sender.borrow().closed;
            let wanted = if closed { have } else { self.current() };
            if wanted > have {
                self.places.add_permits(count(wanted - have));
                have = wanted;
            }
            if wanted < have {
                tokio::select! {
                    place = Arc::clone(&self.places).acquire_owned() => {
                        if let Ok(place) = place {
                            place.forget();
                            have -= 1;
                        }
                    }
                    () = changes.next() => {}
                }
            } else {
                changes.next().await;
            }
        }
    }
}

/// Changes of a [`Capacity`].
#[derive(Debug)]
pub(super) struct Changes(watch::Receiver<State>);

impl Changes {
    /// Returns after the next change.
    pub(super) async fn next(&mut self) {
        if self.0.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn count(jobs: u32) -> usize {
    usize::try_from(jobs)
        .unwrap_or(Semaphore::MAX_PERMITS)
        .min(Semaphore::MAX_PERMITS)
}

#[cfg(test)]
mod tests {
    use tokio_util::task::AbortOnDropHandle;

    use super::*;

    fn pool(concurrency: u32) -> PoolSetting {
        PoolSetting {
            concurrency: Some(concurrency),
            paused: false,
        }
    }

    async fn until_free(capacity: &Capacity, places: usize) {
        while capacity.places().available_permits() != places {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn places_follow_the_pool_and_a_job_that_runs_keeps_its_own() {
        let capacity = Capacity::new(4);
        let _keeping = AbortOnDropHandle::new(tokio::spawn(capacity.clone().keep_places()));
        let running = capacity.places().acquire_many_owned(3).await.unwrap();
        capacity.set_pool(pool(2));
        until_free(&capacity, 0).await;
        assert_eq!(capacity.current(), 2);
        drop(running);
        until_free(&capacity, 2).await;
        capacity.set_pool(pool(7));
        until_free(&capacity, 7).await;
    }

    #[tokio::test]
    async fn a_paused_pool_and_a_closed_worker_take_nothing() {
        let capacity = Capacity::new(4);
        let mut changes = capacity.changes();
        capacity.set_pool(PoolSetting {
            concurrency: Some(9),
            paused: true,
        });
        changes.next().await;
        assert_eq!(capacity.current(), 0);
        capacity.set_pool(PoolSetting::default());
        assert_eq!(capacity.current(), 4);
        capacity.close();
        assert_eq!(capacity.current(), 0);
    }
}
