//! Chooses the user a server runs as: ourselves, or, when we are root, an unprivileged one, because
//! PostgreSQL refuses root and a database server needs none of its rights.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use nix::unistd::{User, geteuid};

use super::child::Server;
use super::error::ServersError;

/// An unprivileged user and its primary group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) user: u32,
    pub(super) group: u32,
}

impl Account {
    /// The user for the server whose data are, or will be, in `data`; `None` means ourselves.
    ///
    /// Data that exist are served by their owner: a folder made by an ordinary user stays that
    /// user's when root starts it once, and PostgreSQL accepts nobody else.
    pub(super) fn choose(server: Server, data: &Path) -> Result<Option<Self>, ServersError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        if let Ok(metadata) = fs::metadata(data)
            && metadata.uid() != 0
        {
            return Ok(Some(Self {
                user: metadata.uid(),
                group: metadata.gid(),
            }));
        }
        let candidates = candidates(server);
        for name in candidates {
            let found = User::from_name(name).map_err(|errno| ServersError::UserLookup {
                name: name.to_owned(),
                source: errno.into(),
            })?;
            if let Some(user) = found {
                return Ok(Some(Self {
                    user: user.uid.as_raw(),
                    group: user.gid.as_raw(),
                }));
            }
        }
        Err(ServersError::NoUnprivilegedUser {
            server,
            tried: candidates.join(", "),
        })
    }

    /// Gives a file or folder to this user.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        chown(path, Some(self.user), Some(self.group))
    }
}

fn candidates(server: Server) -> [&'static str; 2] {
    match server {
        Server::PostgreSql => ["postgres", "nobody"],
        Server::Redis => ["redis", "nobody"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_serves_existing_data_as_their_owner_and_new_data_as_an_unprivileged_user() {
        let folder = tempfile::tempdir().unwrap();
        let chosen = Account::choose(Server::PostgreSql, folder.path()).unwrap();
        if !geteuid().is_root() {
            assert_eq!(chosen, None);
            return;
        }
        assert_ne!(chosen.unwrap().user, 0);

        let owner = Account {
            user: 4711,
            group: 4712,
        };
        owner.own(folder.path()).unwrap();
        let chosen = Account::choose(Server::PostgreSql, folder.path()).unwrap();
        assert_eq!(chosen, Some(owner));
    }
}
