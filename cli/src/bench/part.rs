//! One process of Unity beside us: this very executable with another command.

use std::{
    fs::{File, OpenOptions},
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::http::{Connection, Request};
use crate::servers::{TiedChild, free_port};

/// A running process; it is killed when this is dropped, and when we end.
pub(super) struct Part {
    name: &'static str,
    child: TiedChild,
    log: PathBuf,
    ops: SocketAddr,
}

const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(5);
const SETTING_PREFIX: &str = "UNITY_";

impl Part {
    /// Starts `unity <name> <arguments>` with the settings in `config`; its log goes to a file in
    /// `folder`.
    pub(super) fn start(
        name: &'static str,
        config: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> Result<Self> {
        let log = folder.join(format!("{name}-{:08x}.log", rand::random::<u32>()));
        let output = private_file(&log)?;
        let ops = free_address()?;
        let program = std::env::current_exe().context("could not find this executable")?;
        let mut command = Command::new(program);
        command
            .arg(name)
            .args(arguments)
            .arg("--config")
            .arg(config)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output);
        if name != SIMULATOR {
            command.arg("--ops-listen").arg(ops.to_string());
        }
        // The environment would win over the file.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with(SETTING_PREFIX) {
                command.env_remove(variable);
            }
        }
        let child = TiedChild::spawn(command).with_context(|| format!("could not start {name}"))?;
        Ok(Self {
            name,
            child,
            log,
            ops,
        })
    }

    pub(super) const fn name(&self) -> &'static str {
        self.name
    }

    /// Whether users run it too: they bring a cluster of their own.
    pub(super) fn is_ours(&self) -> bool {
        self.name != SIMULATOR
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it says of itself that it is ready.
    pub(super) async fn ready(&mut self) -> Result<()> {
        let question = Request::get("/readyz", "");
        let begun = Instant::now();
        loop {
            if let Ok(mut connection) = Connection::open(self.ops).await
                && let Ok(answer) = connection.ask(&question).await
                && answer.expect(200).is_ok()
            {
                return Ok(());
            }
            self.still_coming(begun).await?;
        }
    }

    /// A counter of its metrics; one that nothing was added to yet is not there.
    pub(super) async fn counter(&self, name: &str) -> Result<u64> {
        let mut connection = Connection::open(self.ops).await?;
        let answer = connection.ask(&Request::get("/metrics", "")).await?;
        answer.expect(200)?;
        let text = String::from_utf8_lossy(answer.body);
        let mut values = text.lines().filter_map(|line| line.split_once(' '));
        match values.find(|(of, _)| *of == name) {
            Some((_, value)) => value.parse().with_context(|| format!("{name} is no count")),
            None => Ok(0),
        }
    }

    /// Waits until it has written a file.
    pub(super) async fn wrote(&mut self, path: &Path) -> Result<()> {
        let begun = Instant::now();
        while !path.exists() {
            self.still_coming(begun).await?;
        }
        Ok(())
    }

    async fn still_coming(&mut self, begun: Instant) -> Result<()> {
        if let Some(status) = self.child.exit_status()? {
            bail!("unity {} ended ({status}): {}", self.name, self.log());
        }
        if begun.elapsed() > PATIENCE {
            bail!("unity {} does not become ready: {}", self.name, self.log());
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }

    /// Asks it to end and waits until it has. Its log goes: only the logs of processes that were in
    /// the middle of something are of interest.
    pub(super) async fn stop(mut self) -> Result<()> {
        tokio::task::spawn_blocking(move || {
            self.child.stop(PATIENCE)?;
            std::fs::remove_file(&self.log)
        })
        .await??;
        Ok(())
    }
}

/// The one process without an ops port.
pub(super) const SIMULATOR: &str = "simulator";

/// An address of this machine that was free a moment ago.
pub(super) fn free_address() -> Result<SocketAddr> {
    let port = free_port().context("could not find a free port")?;
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

fn private_file(path: &Path) -> Result<File> {
    OpenOptions::new()
        .create_new(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("could not write {}", path.display()))
}
