//! The folder of one private server: `DATA_DIR/postgres` or `DATA_DIR/redis`, with a lock, the log,
//! and `data/`, which alone belongs to the server's own user.
//!
//! As root the server's user may not be able to walk to `data/` (think of a project in root's home).
//! No folder of the user is opened up for it: the process gets a handle of `data/` instead.

use std::fs::{self, DirBuilder, File};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::account::Account;
use super::child::Server;
use super::error::ServersError;
use super::lock::DataDirLock;
use super::log::Log;

/// A server's folder, locked for this process.
pub(super) struct ServerFolder {
    home: PathBuf,
    server: Server,
    account: Option<Account>,
    _lock: DataDirLock,
}

impl ServerFolder {
    /// Creates what is missing, locks it, and decides whose user the server will be.
    pub(super) fn open(data_dir: &Path, server: Server) -> Result<Self, ServersError> {
        let name = match server {
            Server::PostgreSql => "postgres",
            Server::Redis => "redis",
        };
        let lock = DataDirLock::acquire(&data_dir.join(name))?;
        let home =
            fs::canonicalize(lock.folder()).map_err(ServersError::folder("open", lock.folder()))?;
        let account = Account::choose(server, &home.join("data"))?;
        Ok(Self {
            home,
            server,
            account,
            _lock: lock,
        })
    }

    pub(super) fn server(&self) -> Server {
        self.server
    }

    /// `None` when the server runs as ourselves.
    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.home.join(name)
    }

    pub(super) fn begin_log(&self) -> Result<Log, ServersError> {
        Log::begin(self.file("log"))
    }

    /// Creates the folder `name` (mode 0700) if it is missing, and gives it to the server's user.
    pub(super) fn create(&self, name: &str) -> Result<PathBuf, ServersError> {
        let path = self.file(name);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .map_err(ServersError::folder("create", &path))?;
        self.hand_over(&path)?;
        Ok(path)
    }

    /// Gives a file or folder of ours to the server's user.
    pub(super) fn hand_over(&self, path: &Path) -> Result<(), ServersError> {
        let Some(account) = self.account else {
            return Ok(());
        };
        let metadata = fs::symlink_metadata(path).map_err(ServersError::folder("read", path))?;
        if metadata.uid() == account.user {
            return Ok(());
        }
        account
            .own(path)
            .map_err(ServersError::folder("change the owner of", path))
    }

    pub(super) fn open_folder(path: &Path) -> Result<File, ServersError> {
        File::open(path).map_err(ServersError::folder("open", path))
    }
}
