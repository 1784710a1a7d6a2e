//! A connection that tells whether a call is under way on it, and that can be kept from looking for work.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use futures::FutureExt as _;
use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};

/// A connection and a count of the calls that wait for their answers. Clones share the count.
#[derive(Clone)]
pub(super) struct Watched<C> {
    connection: C,
    looks: Looks,
}

/// What is known of the calls.
#[derive(Debug, Clone, Default)]
pub(super) struct Looks(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    under_way: AtomicUsize,
    held_back: AtomicBool,
}

/// A call that is under way until this is dropped, answered or not.
struct Call(Looks);

/// No look is made until this is dropped.
pub(super) struct HeldBack(Looks);

impl<C> Watched<C> {
    pub(super) fn new(connection: C) -> Self {
        Self {
            connection,
            looks: Looks::default(),
        }
    }

    pub(super) fn looks(&self) -> Looks {
        self.looks.clone()
    }
}

impl Looks {
    pub(super) fn are_under_way(&self) -> bool {
        self.0.under_way.load(Ordering::Relaxed) > 0
    }

    /// A look from now on is answered at once, with nothing found, as would be any other lone command. For a poll
    /// that must only take what has come already.
    pub(super) fn hold_back(&self) -> HeldBack {
        self.0.held_back.store(true, Ordering::Relaxed);
        HeldBack(self.clone())
    }

    fn are_held_back(&self) -> bool {
        self.0.held_back.load(Ordering::Relaxed)
    }

    fn begin(&self) -> Call {
        self.0.under_way.fetch_add(1, Ordering::Relaxed);
        Call(self.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.under_way.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for HeldBack {
    fn drop(&mut self) {
        self.0.0.held_back.store(false, Ordering::Relaxed);
    }
}

/// The answer of apalis-redis' script when the ready list is empty: no entries, and nothing about them.
fn nothing_found() -> Value {
    Value::Array(vec![Value::Array(Vec::new()), Value::Array(Vec::new())])
}

impl<C: ConnectionLike + Send> ConnectionLike for Watched<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        if self.looks.are_held_back() {
            return futures::future::ready(Ok(nothing_found())).boxed();
        }
        let call = self.looks.begin();
        let answer = self.connection.req_packed_command(cmd);
        answer.inspect(move |_| drop(call)).boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let call = self.looks.begin();
        let answers = self.connection.req_packed_commands(pipeline, offset, count);
        answers.inspect(move |_| drop(call)).boxed()
    }

    fn get_db(&self) -> i64 {
        self.connection.get_db()
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    /// Answers when it is told to.
    struct Slow(Option<oneshot::Receiver<()>>);

    impl ConnectionLike for Slow {
        fn req_packed_command<'a>(&'a mut self, _: &'a Cmd) -> RedisFuture<'a, Value> {
            let told = self.0.take().unwrap();
            async {
                told.await.unwrap();
                Ok(Value::Nil)
            }
            .boxed()
        }

        fn req_packed_commands<'a>(
            &'a mut self,
            _: &'a Pipeline,
            _: usize,
            _: usize,
        ) -> RedisFuture<'a, Vec<Value>> {
            unreachable!("no pipeline is sent")
        }

        fn get_db(&self) -> i64 {
            0
        }
    }

    #[tokio::test]
    async fn a_call_is_under_way_until_it_is_answered_or_given_up() {
        let command = redis::cmd("PING");
        for is_answered in [true, false] {
            let (tell, told) = oneshot::channel();
            let mut connection = Watched::new(Slow(Some(told)));
            let looks = connection.looks();
            assert!(!looks.are_under_way());
            let mut call = connection.req_packed_command(&command);
            assert!((&mut call).now_or_never().is_none());
            assert!(looks.are_under_way());
            if is_answered {
                tell.send(()).unwrap();
                call.await.unwrap();
            } else {
                drop(call);
            }
            assert!(!looks.are_under_way());
        }
    }

    #[tokio::test]
    async fn a_look_that_is_held_back_finds_nothing_and_is_not_made() {
        let command = redis::cmd("PING");
        let mut connection = Watched::new(Slow(None));
        let looks = connection.looks();
        let held_back = looks.hold_back();
        let found = connection.req_packed_command(&command).await.unwrap();
        assert_eq!(found, nothing_found());
        drop(held_back);
        let (_tell, told) = oneshot::channel();
        connection.connection = Slow(Some(told));
        assert!(
            connection
                .req_packed_command(&command)
                .now_or_never()
                .is_none()
        );
    }
}
