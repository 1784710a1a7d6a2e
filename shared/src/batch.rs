//! Natural batching: what arrives while a call is under way goes into the next, together.
//!
//! A lone item is sent at once and waits for no timer; under load the batches grow by themselves to
//! what one round trip takes.

use std::{collections::BTreeMap, future::Future, num::NonZeroUsize, sync::Arc};

use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::task::AbortOnDropHandle;

use crate::ids::TenantId;

/// A queue in front of a batched call. Clones feed the same queue; the last one to go ends it.
#[derive(Debug)]
pub struct Batcher<T, R> {
    sender: mpsc::UnboundedSender<(T, oneshot::Sender<R>)>,
    task: Arc<AbortOnDropHandle<()>>,
}

impl<T, R> Clone for Batcher<T, R> {
    fn clone(&self) -> Self {
        Self {
            sender: self.sender.clone(),
            task: Arc::clone(&self.task),
        }
    }
}

/// How batches are made.
#[derive(Debug, Clone, Copy)]
pub struct BatchLimits {
    /// Most items of one call.
    pub items: usize,
    /// Most calls at the same time. With one, what arrives during a call waits for its end; with
    /// more, batches are smaller and the server's cores have more to do.
    pub calls: NonZeroUsize,
}

impl<T: Send + 'static, R: Send + 'static> Batcher<T, R> {
    /// Starts the queue. `call` gets 1 to `limits.items` items and answers as many results, in their
    /// order.
    pub fn start<F, Fut>(limits: BatchLimits, call: F) -> Self
    where
        F: Fn(Vec<T>) -> Fut + Send + 'static,
        Fut: Future<Output = Vec<R>> + Send + 'static,
    {
        let (sender, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(work(limits, call, receiver));
        Self {
            sender,
            task: Arc::new(AbortOnDropHandle::new(task)),
        }
    }

    /// Puts an item into the next batch and waits for its result; `None` when the queue has ended.
    pub async fn call(&self, item: T) -> Option<R> {
        self.send(item).await.ok()
    }

    /// Puts an item into the next batch, in the order of these calls. The receiver gets its result,
    /// or an error when the queue has ended.
    pub fn send(&self, item: T) -> oneshot::Receiver<R> {
        let (answer, result) = oneshot::channel();
        // A queue that has ended drops the answer, which the receiver learns.
        let _ = self.sender.send((item, answer));
        result
    }
}

/// Items apart by tenant, in the order of tenants: for when the call for all of them was refused, because what
/// is wrong with one tenant's rows, or who holds them, is not the others' concern.
pub fn by_tenant<T>(
    items: impl IntoIterator<Item = T>,
    tenant_of: impl Fn(&T) -> &TenantId,
) -> BTreeMap<TenantId, Vec<T>> {
    let mut tenants: BTreeMap<TenantId, Vec<T>> = BTreeMap::new();
    for item in items {
        let tenant = tenant_of(&item).clone();
        tenants.entry(tenant).or_default().push(item);
    }
    tenants
}

async fn work<T, R, F, Fut>(
    limits: BatchLimits,
    call: F,
    mut receiver: mpsc::UnboundedReceiver<(T, oneshot::Sender<R>)>,
) where
    T: Send + 'static,
    R: Send + 'static,
    F: Fn(Vec<T>) -> Fut,
    Fut: Future<Output = Vec<R>> + Send + 'static,
{
    let places = Arc::new(Semaphore::new(limits.calls.get()));
    loop {
        // The place first: whatever arrives until there is one goes together.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        let mut waiting = Vec::new();
        if receiver.recv_many(&mut waiting, limits.items).await == 0 {
            return;
        }
        // Those who were woken by the same event are about to ask too: whoever is ready goes along. A
        // lone item loses one turn of the runtime by it, and waits for no timer.
        let mut before = 0;
        while waiting.len() > before && waiting.len() < limits.items {
            before = waiting.len();
            tokio::task::yield_now().await;
            while waiting.len() < limits.items
                && let Ok(one) = receiver.try_recv()
            {
                waiting.push(one);
            }
        }
        let (items, answers): (Vec<T>, Vec<oneshot::Sender<R>>) = waiting.into_iter().unzip();
        let results = call(items);
        tokio::spawn(async move {
            for (answer, result) in answers.into_iter().zip(results.await) {
                // Whoever asked may have been cancelled meanwhile.
                let _ = answer.send(result);
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use tokio::sync::Semaphore;

    use super::*;

    #[tokio::test]
    async fn items_that_arrive_during_a_call_share_the_next_one() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let gate = Arc::new(Semaphore::new(0));
        let limits = BatchLimits {
            items: 100,
            calls: NonZeroUsize::MIN,
        };
        let batcher = Batcher::start(limits, {
            let (sizes, gate) = (Arc::clone(&sizes), Arc::clone(&gate));
            move |items: Vec<u32>| {
                let (sizes, gate) = (Arc::clone(&sizes), Arc::clone(&gate));
                async move {
                    sizes.lock().unwrap().push(items.len());
                    gate.acquire().await.unwrap().forget();
                    items.iter().map(|item| item * 2).collect()
                }
            }
        });
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.call(1).await }
        });
        while sizes.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let rest: Vec<_> = (2..5)
            .map(|item| {
                let batcher = batcher.clone();
                tokio::spawn(async move { batcher.call(item).await })
            })
            .collect();
        tokio::task::yield_now().await;
        gate.add_permits(10);
        assert_eq!(first.await.unwrap(), Some(2));
        for (item, answer) in (2..5).zip(rest) {
            assert_eq!(answer.await.unwrap(), Some(item * 2));
        }
        assert_eq!(*sizes.lock().unwrap(), [1, 3]);
    }
}
