//! A connection that tells whether a call is under way on it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use futures::FutureExt as _;
use redis::{Cmd, Pipeline, RedisFuture, Value, aio::ConnectionLike};

/// A connection and a count of the calls that wait for their answers. Clones share the count.
#[derive(Clone)]
pub(super) struct Watched<C> {
    connection: C,
    calls: Calls,
}

/// How many calls are under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(Arc<AtomicUsize>);

/// A call that is under way until this is dropped, answered or not.
struct Call(Calls);

impl<C> Watched<C> {
    pub(super) fn new(connection: C) -> Self {
        Self {
            connection,
            calls: Calls::default(),
        }
    }

    pub(super) fn calls(&self) -> Calls {
        self.calls.clone()
    }
}

impl Calls {
    pub(super) fn are_under_way(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    fn begin(&self) -> Call {
        self.0.fetch_add(1, Ordering::Relaxed);
        Call(self.clone())
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<C: ConnectionLike + Send> ConnectionLike for Watched<C> {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        let call = self.calls.begin();
        let answer = self.connection.req_packed_command(cmd);
        answer.inspect(move |_| drop(call)).boxed()
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let call = self.calls.begin();
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
            let calls = connection.calls();
            assert!(!calls.are_under_way());
            let mut call = connection.req_packed_command(&command);
            assert!((&mut call).now_or_never().is_none());
            assert!(calls.are_under_way());
            if is_answered {
                tell.send(()).unwrap();
                call.await.unwrap();
            } else {
                drop(call);
            }
            assert!(!calls.are_under_way());
        }
    }
}
