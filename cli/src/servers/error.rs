//! What can go wrong between "PostgreSQL and Redis are wanted" and "they answer", in words a user
//! can act on: every message names the folder, the log or the command that helps.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use super::child::Server;

/// Why a private server could not be found, installed, started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    /// An environment variable names a program that cannot be used.
    #[error("{variable} names {}, which cannot be used: {reason}", path.display())]
    UnusableOverride {
        /// The variable, such as `UNITY_POSTGRES_BIN`.
        variable: &'static str,
        /// What the variable says.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Programs are missing and could not be installed from here.
    #[error("{missing} not found ({reason}); install with: {command}")]
    Missing {
        /// The missing servers with the oldest usable version of each.
        missing: String,
        /// Why they were not installed.
        reason: String,
        /// The command to run, or where to find the programs when no package manager is known.
        command: String,
    },
    /// The system's package manager has only releases that are too old.
    #[error("the system's packages cannot be used: {detail}")]
    PackagesTooOld {
        /// Package, version offered and version needed.
        detail: String,
    },
    /// The package manager failed.
    #[error("`{command}` failed ({status}): {tail}")]
    Install {
        /// The command that was announced.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// The last lines it printed.
        tail: String,
    },
    /// The packages were installed, and yet the programs are not there.
    #[error("{missing} still not found after the installation")]
    StillMissing {
        /// The missing servers.
        missing: String,
    },
    /// A program could not be started.
    #[error("could not run {}", program.display())]
    Run {
        /// The program.
        program: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A folder or file of the server could not be read, written, or given to its user.
    #[error("could not {action} {}", path.display())]
    Folder {
        /// What was being tried, as a verb.
        action: &'static str,
        /// On which folder or file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Another process holds the folder.
    #[error("{} is in use by another process{}", path.display(), process(*holder))]
    InUse {
        /// The folder.
        path: PathBuf,
        /// The other process, where it has written down its id.
        holder: Option<u32>,
    },
    /// Running as root, and there is no unprivileged user to run the server as.
    #[error("{server} must not run as root, and none of these users exists: {tried}")]
    NoUnprivilegedUser {
        /// The server.
        server: Server,
        /// The user names that were looked up.
        tried: String,
    },
    /// The user database could not be read.
    #[error("could not look up user {name}")]
    UserLookup {
        /// The user.
        name: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// `initdb` failed.
    #[error("could not create the database cluster; initdb says: {tail}")]
    CreateCluster {
        /// The last lines it printed.
        tail: String,
    },
    /// The data were written by another major version of PostgreSQL.
    #[error(
        "{} was made by PostgreSQL {cluster}, but PostgreSQL {program} was found; \
         set UNITY_POSTGRES_BIN to the bin folder of PostgreSQL {cluster}, or remove the folder",
        path.display()
    )]
    OtherMajorVersion {
        /// The cluster's folder.
        path: PathBuf,
        /// The version that made it, as its `PG_VERSION` says.
        cluster: String,
        /// The version found on this machine.
        program: u32,
    },
    /// No free port could be asked for, or each one was taken before the server could have it.
    #[error("no free port for {server} on 127.0.0.1")]
    NoFreePort {
        /// The server.
        server: Server,
        /// What the system said last.
        #[source]
        source: io::Error,
    },
    /// The server ended before it answered.
    #[error("{server} stopped while starting ({status}); {} ends with: {tail}", log.display())]
    EndedEarly {
        /// The server.
        server: Server,
        /// How it ended.
        status: ExitStatus,
        /// Its log file.
        log: PathBuf,
        /// The last lines of this start in the log.
        tail: String,
    },
    /// The server runs but does not answer.
    #[error("{server} did not answer within {} s; {} ends with: {tail}", waited.as_secs(), log.display())]
    NotReady {
        /// The server.
        server: Server,
        /// How long it was given.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
        /// The last lines of this start in the log.
        tail: String,
    },
    /// A server that an earlier start left behind does not go away.
    #[error("{server} of an earlier start still runs in {} as process {pid}", path.display())]
    OrphanRemains {
        /// The server.
        server: Server,
        /// Its folder.
        path: PathBuf,
        /// One of its processes.
        pid: i32,
    },
    /// The state of a started server could not be asked for.
    #[error("could not wait for {server} (process {pid})")]
    Wait {
        /// The server.
        server: Server,
        /// Its process.
        pid: u32,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl ServersError {
    /// For `map_err`: an error of the file system while doing `action` to `path`.
    pub(super) fn folder(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Folder {
            action,
            path,
            source,
        }
    }
}

fn process(holder: Option<u32>) -> String {
    holder.map_or_else(String::new, |pid| format!(" (process {pid})"))
}
