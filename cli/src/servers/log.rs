//! The log file of one server: what it prints, the run before it kept once, and the last lines of
//! this run for error messages.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::ServersError;

const TAIL_LINES: usize = 12;
const TAIL_BYTES: u64 = 8 * 1024;

/// A log file, and the position at which the present attempt began.
#[derive(Clone, Debug)]
pub(super) struct Log {
    path: PathBuf,
    start: u64,
}

impl Log {
    /// Begins a new file at `path` and keeps the previous one beside it as `*.1`, so that logs
    /// neither grow for ever nor lose the crash that made somebody start again.
    pub(super) fn begin(path: PathBuf) -> Result<Self, ServersError> {
        match fs::rename(&path, with_suffix(&path)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(ServersError::folder("rename", path)(error)),
        }
        Ok(Self { path, start: 0 })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Opens the file for the next attempt; [`Log::tail`] shows nothing from before.
    pub(super) fn open(&mut self) -> Result<File, ServersError> {
        let file = OpenOptions::new()
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&self.path)
            .map_err(ServersError::folder("open", &self.path))?;
        self.start = file
            .metadata()
            .map_err(ServersError::folder("read", &self.path))?
            .len();
        Ok(file)
    }

    /// The last lines of the present attempt. An unreadable log gives an empty text: it is only
    /// ever read to explain another failure.
    pub(super) fn tail(&self) -> String {
        let text = self.read_tail().unwrap_or_default();
        last_lines(&text)
    }

    fn read_tail(&self) -> io::Result<String> {
        let mut file = File::open(&self.path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(
            self.start.max(length.saturating_sub(TAIL_BYTES)),
        ))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// The last lines of a program's output, for an error message.
pub(super) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let first = lines.len().saturating_sub(TAIL_LINES);
    lines.get(first..).unwrap_or_default().join("\n")
}

fn with_suffix(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".1");
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn tail_shows_the_last_lines_of_the_present_attempt_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::begin(folder.path().join("server.log")).unwrap();
        writeln!(log.open().unwrap(), "from the first attempt").unwrap();

        let mut file = log.open().unwrap();
        for number in 0..100 {
            writeln!(file, "line {number}\n").unwrap();
        }
        let tail = log.tail();
        assert!(tail.starts_with("line 88\n"), "{tail}");
        assert!(tail.ends_with("line 99"), "{tail}");
    }

    #[test]
    fn previous_log_is_kept_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("server.log");
        for text in ["oldest", "older", "new"] {
            let mut log = Log::begin(path.clone()).unwrap();
            write!(log.open().unwrap(), "{text}").unwrap();
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_to_string(with_suffix(&path)).unwrap(), "older");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
