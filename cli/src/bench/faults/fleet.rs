//! What the drills befall: two workers, an API, a scheduler, and the servers below them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::super::{Bench, part::Part, processes::children, rows, stack::Stack, tenants::Tenant};

/// Jobs at once of a tenant.
pub(super) const LIMIT: u32 = 3;
const WORKERS: usize = 2;
/// Jobs at once of a worker.
pub(super) const CONCURRENCY: u32 = 60;

/// Everything that runs.
pub(super) struct Fleet<'a> {
    pub(super) stack: Stack<'a>,
    pub(super) workers: Vec<Part>,
    pub(super) tenants: Vec<Tenant>,
}

/// A server below us.
#[derive(Clone, Copy)]
pub(super) enum Below {
    PostgreSql,
    Redis,
}

impl<'a> Fleet<'a> {
    /// Starts it, with tenants whose namespaces are there.
    pub(super) async fn start(bench: &'a Bench, tenants: usize) -> Result<Self> {
        let mut stack = Stack::start(bench).await?;
        let tenants = stack.tenants(tenants, LIMIT).await?;
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            workers.push(stack.worker(CONCURRENCY)?);
        }
        let mut fleet = Self {
            stack,
            workers,
            tenants,
        };
        fleet.ready().await?;
        Ok(fleet)
    }

    /// Waits until every process says that it is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        for part in self.stack.parts.iter_mut().chain(&mut self.workers) {
            if part.is_ours() {
                part.ready().await?;
            }
        }
        Ok(())
    }

    /// Stops everything.
    pub(super) async fn end(self) -> Result<()> {
        for worker in self.workers {
            worker.stop().await?;
        }
        self.stack.end().await
    }

    pub(super) fn owns_servers(&self) -> bool {
        self.stack.ground.server_pids().is_some()
    }

    /// SIGKILL for a worker; another takes its place.
    pub(super) fn kill_worker(&mut self, index: usize) -> Result<()> {
        let worker = self
            .workers
            .get_mut(index)
            .context("there is no such worker")?;
        // Dropping kills, and waits until it is gone.
        *worker = self.stack.worker(CONCURRENCY)?;
        Ok(())
    }

    /// SIGKILL for the API or the scheduler; another takes its place.
    pub(super) fn kill_part(&mut self, name: &'static str) -> Result<()> {
        self.stack.start_again(name)
    }

    /// Lets a worker stand still for a time.
    pub(super) async fn freeze_worker(&self, index: usize, time: Duration) -> Result<()> {
        let worker = self.workers.get(index).context("there is no such worker")?;
        freeze(&[worker.pid()], time).await
    }

    /// Lets a server stand still for a time, with all its processes.
    pub(super) async fn stall(&self, server: Below, time: Duration) -> Result<()> {
        let head = self.head(server)?;
        let mut all = children(head);
        all.push(head);
        freeze(&all, time).await
    }

    fn head(&self, server: Below) -> Result<u32> {
        let (postgres, redis) = self
            .stack
            .ground
            .server_pids()
            .context("the servers are not ours")?;
        Ok(match server {
            Below::PostgreSql => postgres,
            Below::Redis => redis,
        })
    }

    /// Ends a server without farewell and starts it again. PostgreSQL does so by itself when one of
    /// its processes dies: it cuts all connections and recovers from its log.
    pub(super) fn restart(&self, server: Below) -> Result<()> {
        match server {
            Below::Redis => self.stack.ground.restart_redis(),
            Below::PostgreSql => {
                let head = self.head(server)?;
                let victim = children(head).pop().context("PostgreSQL has no children")?;
                signal(victim, Signal::SIGKILL);
                Ok(())
            }
        }
    }

    /// Waits until no job is left, and answers how long it took. A connection that breaks meanwhile
    /// is made anew.
    pub(super) async fn until_idle(&mut self, patience: Duration) -> Result<Duration> {
        let begun = Instant::now();
        while begun.elapsed() < patience {
            match rows::any_unfinished(&mut self.stack.owner).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(_) => self.reconnect().await,
            }
            tokio::time::sleep(rows::POLL).await;
        }
        Ok(begun.elapsed())
    }

    /// A new connection to the record, if there can be one.
    pub(super) async fn reconnect(&mut self) {
        if let Ok(owner) = super::super::stack::connect(&self.stack.site).await {
            self.stack.owner = owner;
        }
    }

    /// Waits until so many probes run.
    pub(super) async fn until_running(&mut self, wanted: i64, patience: Duration) -> Result<()> {
        let begun = Instant::now();
        loop {
            let running = super::count::running(&mut self.stack.owner).await?;
            if running >= wanted {
                return Ok(());
            }
            if begun.elapsed() > patience {
                bail!("{running} of {wanted} jobs run after {patience:?}");
            }
            tokio::time::sleep(rows::POLL).await;
        }
    }
}

async fn freeze(pids: &[u32], time: Duration) -> Result<()> {
    for pid in pids {
        signal(*pid, Signal::SIGSTOP);
    }
    tokio::time::sleep(time).await;
    for pid in pids {
        signal(*pid, Signal::SIGCONT);
    }
    Ok(())
}

/// A process that ended a moment ago needs no signal.
fn signal(pid: u32, signal: Signal) {
    if let Ok(pid) = i32::try_from(pid) {
        let _gone = kill(Pid::from_raw(pid), signal);
    }
}
