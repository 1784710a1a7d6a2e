//! What was fetched along with others and finds no place here.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::time::Sleep;
use unity_shared::queue::ReadyJob;

/// How long a job that was fetched waits for a place here before it goes on to another worker: those in front
/// of it were expected to be short.
pub(super) const PATIENCE: Duration = Duration::from_millis(50);

/// Entries of the ready queue that wait for a place, in their order.
#[derive(Debug, Default)]
pub(super) struct Spare {
    entries: VecDeque<Vec<ReadyJob>>,
    /// Until they go on to another worker; absent = there are none.
    patience: Option<Pin<Box<Sleep>>>,
}

impl Spare {
    /// Takes an entry in.
    pub(super) fn push(&mut self, entry: Vec<ReadyJob>) {
        self.entries.push_back(entry);
        self.patience
            .get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
    }

    /// The first of them, for which there is a place now.
    pub(super) fn pop(&mut self) -> Option<Vec<ReadyJob>> {
        let entry = self.entries.pop_front();
        if self.entries.is_empty() {
            self.patience = None;
        }
        entry
    }

    /// The jobs of all of them when the first to come has waited for too long. Pending as long as there are
    /// none.
    pub(super) fn poll_overdue(&mut self, cx: &mut Context<'_>) -> Poll<Vec<ReadyJob>> {
        let Some(patience) = &mut self.patience else {
            return Poll::Pending;
        };
        if patience.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.patience = None;
        Poll::Ready(self.entries.drain(..).flatten().collect())
    }

    /// Forgets them: they wait in the gate again.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::future::poll_fn;
    use tokio::time::Instant;
    use unity_shared::{
        ids::{JobId, TenantId},
        queue::Line,
    };

    use super::*;

    fn entry() -> Vec<ReadyJob> {
        let line = Line {
            queue: "default".into(),
            tenant_id: TenantId::parse("acme").unwrap(),
            kind: "probe".to_owned(),
        };
        vec![ReadyJob {
            line: Arc::new(line),
            id: JobId::new(),
            first: true,
        }]
    }

    #[tokio::test(start_paused = true)]
    async fn what_waits_for_too_long_goes_on_together_and_what_finds_a_place_does_not() {
        let (first, second, third) = (entry(), entry(), entry());
        let mut spare = Spare::default();
        let begun = Instant::now();
        spare.push(first.clone());
        tokio::time::advance(PATIENCE / 2).await;
        spare.push(second.clone());
        spare.push(third.clone());
        assert_eq!(spare.pop(), Some(first));
        let overdue = poll_fn(|cx| spare.poll_overdue(cx)).await;
        assert_eq!(overdue, [second, third].concat());
        assert!(begun.elapsed() >= PATIENCE);
        assert_eq!(spare.pop(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn patience_begins_anew_when_none_are_left() {
        let mut spare = Spare::default();
        spare.push(entry());
        spare.pop();
        tokio::time::advance(PATIENCE).await;
        spare.push(entry());
        assert!(futures::poll!(poll_fn(|cx| spare.poll_overdue(cx))).is_pending());
    }
}
