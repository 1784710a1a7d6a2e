//! One process per data directory: a lock on a file in it, which the system releases by itself when
//! the process ends, however it ends.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::ServersError;

const FILE_NAME: &str = "lock";

/// The sole right to use a data directory, held until it is dropped or the process ends.
///
/// It excludes other holders of a lock on the same folder only, in this process too; the folder
/// itself stays readable and writable for everybody who could before.
#[derive(Debug)]
pub struct DataDirLock {
    folder: PathBuf,
    _file: File,
}

impl DataDirLock {
    /// Locks `folder`, and creates it first (mode 0700) where it is missing.
    ///
    /// Fails with [`ServersError::InUse`] when somebody else holds it, and with
    /// [`ServersError::Folder`] when it cannot be created or written.
    pub fn acquire(folder: &Path) -> Result<Self, ServersError> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(ServersError::folder("create", folder))?;
        let path = folder.join(FILE_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(ServersError::folder("open", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(ServersError::InUse {
                    path: folder.to_owned(),
                    holder: read_holder(&mut file),
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(ServersError::folder("lock", path)(source));
            }
        }
        write_holder(&mut file).map_err(ServersError::folder("write", &path))?;
        Ok(Self {
            folder: folder.to_owned(),
            _file: file,
        })
    }

    /// The locked folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_holder(file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_holder_is_told_who_has_the_folder() {
        let parent = tempfile::tempdir().unwrap();
        let folder = parent.path().join("new/data");
        let first = DataDirLock::acquire(&folder).unwrap();

        let error = DataDirLock::acquire(&folder).unwrap_err();
        let ServersError::InUse { path, holder } = &error else {
            panic!("{error}");
        };
        assert_eq!(path, first.folder());
        assert_eq!(*holder, Some(std::process::id()));

        drop(first);
        DataDirLock::acquire(&folder).unwrap();
    }
}
