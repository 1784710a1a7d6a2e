//! Messages from the gate: work was admitted, a job has news.
//!
//! A message can be lost (Redis publishes to whoever listens at that moment), so a listener is a
//! hint that saves waiting; whoever uses it also looks at a slow beat.

use std::time::Duration;

use futures::StreamExt;
use redis::Client;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;

/// A message of the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wake {
    /// The payload of a message: a count of admissions, or a job of which there is news.
    Message(String),
    /// The connection was lost and is back: anything may have been missed.
    Reconnected,
}

/// A subscription on a connection of its own, which renews itself. Dropping it ends it.
#[derive(Debug)]
pub struct WakeListener {
    sender: broadcast::Sender<Wake>,
    _task: AbortOnDropHandle<()>,
}

/// Messages that a slow receiver may lag behind before it is told that it missed some.
const BUFFER: usize = 1024;
const RECONNECT_DELAY: Duration = Duration::from_millis(500);

impl WakeListener {
    pub(super) fn start(client: Client, channel: String) -> Self {
        let (sender, _) = broadcast::channel(BUFFER);
        let messages = sender.clone();
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&client, &channel, &messages).await {
                    tracing::debug!(%channel, %error, "subscription lost");
                }
                tokio::time::sleep(RECONNECT_DELAY).await;
            }
        });
        Self {
            sender,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// A receiver of all messages from now on.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Wake> {
        self.sender.subscribe()
    }
}

async fn listen(
    client: &Client,
    channel: &str,
    messages: &broadcast::Sender<Wake>,
) -> Result<(), redis::RedisError> {
    let mut subscription = client.get_async_pubsub().await?;
    subscription.subscribe(channel).await?;
    // Nobody listening is no error: the next subscriber starts from now.
    let _ = messages.send(Wake::Reconnected);
    let mut stream = subscription.on_message();
    while let Some(message) = stream.next().await {
        let _ = messages.send(Wake::Message(message.get_payload()?));
    }
    Ok(())
}
