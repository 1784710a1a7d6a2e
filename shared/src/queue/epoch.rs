//! Whether admission is open, and under which epoch.
//!
//! A gate is believed only while three things agree: its epoch is the one in the record, the Redis
//! process that answers is the one that was opened, by a program that means the same by its keys, and the
//! heartbeats kept the epoch alive. Otherwise what Redis holds may be old, so it is emptied and filled
//! anew. Of two refills at once the newer one wins: each names its epoch with every write, and `lua/begin.lua` shuts the older one out.

use redis::AsyncCommands;

use super::{Gate, GateError, Running};

/// What the gate says of its own state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// The epoch under which admission is open; absent = it is closed.
    pub epoch: Option<i64>,
    /// The epoch of the newest refill that has begun here; 0 = none.
    pub raised: i64,
    /// Whether the Redis process is the one that was opened, and its keys mean what they mean to this
    /// program. A process that does not say who it is counts as the same.
    pub as_opened: bool,
}

/// Keys looked through by one step of emptying.
const SCANNED: usize = 1000;

impl Gate {
    /// The gate's own state, to be compared with the record's epoch.
    pub async fn opening(&self) -> Result<Opening, GateError> {
        let call = self.begin(&self.scripts.opening);
        let (epoch, raised, as_opened): (String, i64, bool) =
            self.invoke("say whether admission is open", &call).await?;
        Ok(Opening {
            epoch: epoch.parse().ok(),
            raised,
            as_opened,
        })
    }

    /// The id of the run of the Redis process that answers; empty where it does not tell, which a
    /// login may be forbidden to ask.
    pub(super) async fn server(&self) -> String {
        let info: Result<String, _> = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut self.connection.clone())
            .await;
        let info = info.unwrap_or_default();
        let run = info.lines().find_map(|line| line.strip_prefix("run_id:"));
        run.map(|run| run.trim().to_owned()).unwrap_or_default()
    }

    /// Closes admission until [`Gate::open`].
    pub(super) async fn close(&self) -> Result<(), GateError> {
        self.connection
            .clone()
            .del(self.key("epoch"))
            .await
            .map_err(GateError::call("close admission"))
    }

    /// A refill under this epoch begins. Answers whether it may go on; it may not if a newer one has
    /// begun.
    pub(super) async fn begin_refill(&self, epoch: i64) -> Result<bool, GateError> {
        let mut call = self.begin(&self.scripts.begin);
        call.arg(epoch);
        self.invoke("begin a refill", &call).await
    }

    /// Removes all that the refill writes anew, and what was handed over to apalis-redis. The fleet and
    /// the tenants' virtual times stay. Answers whether the refill may go on.
    pub(super) async fn empty(&self, epoch: i64) -> Result<bool, GateError> {
        let prefix = self.key("");
        let mut cursor = 0_u64;
        loop {
            let (next, names): (u64, Vec<String>) = redis::cmd("SCAN")
                .arg(cursor)
                .arg("MATCH")
                .arg(format!("{}*", escape_pattern(&prefix)))
                .arg("COUNT")
                .arg(SCANNED)
                .query_async(&mut self.connection.clone())
                .await
                .map_err(GateError::call("list what the gate holds"))?;
            let mut call = self.begin(&self.scripts.empty);
            call.arg(epoch);
            for name in names {
                if name.strip_prefix(&prefix).is_some_and(is_refilled) {
                    call.arg(name);
                }
            }
            let goes_on: bool = self.invoke("empty the gate", &call).await?;
            if next == 0 || !goes_on {
                return Ok(goes_on);
            }
            cursor = next;
        }
    }

    /// Writes the slots of running jobs back. Answers whether the refill may go on.
    pub(super) async fn write_running(
        &self,
        epoch: i64,
        running: &[Running],
    ) -> Result<bool, GateError> {
        let mut call = self.begin(&self.scripts.open);
        call.arg(epoch).arg(0).arg("");
        for job in running {
            call.arg(job.offer.id.to_string())
                .arg(job.offer.info())
                .arg(job.worker_id.to_string())
                .arg(job.lease_expires_at.timestamp_millis());
        }
        self.invoke("write slots back", &call).await
    }

    /// Opens admission under this epoch, on this run of the server. Answers whether it did.
    pub(super) async fn open(&self, epoch: i64, server: &str) -> Result<bool, GateError> {
        let mut call = self.begin(&self.scripts.open);
        call.arg(epoch).arg(1).arg(server);
        self.invoke("open admission", &call).await
    }
}

/// Whether a key, without the prefix, is one of those that a refill writes anew.
fn is_refilled(name: &str) -> bool {
    let kept = [
        "workers:", "members:", "fleet:", "seen:", "vtime:", "clock:",
    ];
    let kept_whole = ["queues", "cost", "raised", "epoch", "server", "layout"];
    let is_registration = name.starts_with("queue:")
        && (name.ends_with(":workers") || name.contains(":workers:metadata:"));
    !(is_registration
        || kept_whole.contains(&name)
        || kept.iter().any(|start| name.starts_with(start)))
}

/// A text that stands for itself in a pattern of Redis.
fn escape_pattern(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emptying_keeps_the_fleet_and_removes_what_jobs_have_left() {
        for kept in [
            "workers:default",
            "members:default",
            "queue:default:workers",
            "queue:default:workers:metadata:w",
            "raised",
            "queues",
        ] {
            assert!(!is_refilled(kept), "{kept}");
        }
        for gone in [
            "jobs",
            "claimed",
            "slots:ant",
            "wait:default:ant:probe",
            "limits",
            "paused",
            "switches",
            "queue:default:active",
            "queue:default:meta:1",
            "queue:default:inflight:w",
        ] {
            assert!(is_refilled(gone), "{gone}");
        }
    }

    #[test]
    fn a_prefix_is_no_pattern() {
        assert_eq!(escape_pattern("a[b]*:0:"), "a\\[b\\]\\*:0:");
    }
}
