//! Finds and stops what an earlier process left running on a server's folder: a server still on its
//! way down after `kill -9` of its parent, or one that was started without us.
//!
//! The caller holds the folder's lock, so whatever server runs there now has lost its owner. It is
//! recognised by what cannot be left over from another time, unlike a number in a file: a process
//! whose name is the server's and which works in that very folder.

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child::{POLL_INTERVAL, Server};
use super::error::ServersError;

const FORCED_PATIENCE: Duration = Duration::from_secs(5);

/// A process of a server that works in the folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    pid: i32,
    parent: i32,
}

/// Stops every process of `server` that works in `data`, and waits until they are gone.
pub(super) fn stop_orphans(server: Server, data: &Path) -> Result<(), ServersError> {
    let steps = [
        (server.polite_signal(), server.patience()),
        (server.forced_signal(), FORCED_PATIENCE),
        (Signal::SIGKILL, FORCED_PATIENCE),
    ];
    for (step, (signal, patience)) in steps.into_iter().enumerate() {
        let found = find(server, data);
        let targets = if step == 0 { heads(&found) } else { found };
        for process in targets {
            let _gone_meanwhile = kill(Pid::from_raw(process.pid), signal);
        }
        let begun = Instant::now();
        loop {
            if find(server, data).is_empty() {
                return Ok(());
            }
            if begun.elapsed() >= patience {
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
    }
    match find(server, data).first() {
        None => Ok(()),
        Some(process) => Err(ServersError::OrphanRemains {
            server,
            path: data.to_owned(),
            pid: process.pid,
        }),
    }
}

/// Whether any process of `server` works in `data`.
pub(super) fn any(server: Server, data: &Path) -> bool {
    !find(server, data).is_empty()
}

/// The processes whose parent is not one of them. A polite signal goes to these alone: the head
/// ends its own processes in order, and to one of those it would mean something else.
fn heads(found: &[Found]) -> Vec<Found> {
    found
        .iter()
        .filter(|process| !found.iter().any(|other| other.pid == process.parent))
        .copied()
        .collect()
}

fn names(server: Server) -> &'static [&'static str] {
    match server {
        Server::PostgreSql => &["postgres", "postmaster"],
        Server::Redis => &["redis-server", "valkey-server"],
    }
}

#[cfg(target_os = "linux")]
fn find(server: Server, data: &Path) -> Vec<Found> {
    use std::fs;
    use std::os::unix::fs::MetadataExt;

    let (Ok(folder), Ok(processes)) = (fs::metadata(data), fs::read_dir("/proc")) else {
        return Vec::new();
    };
    let works_there = |process: &Path| {
        // Follows the link itself, so it needs no right to walk the path behind it. Processes of
        // strangers and those that have ended do not show theirs.
        fs::metadata(process.join("cwd"))
            .is_ok_and(|cwd| cwd.dev() == folder.dev() && cwd.ino() == folder.ino())
    };
    let is_server = |process: &Path| {
        fs::read_to_string(process.join("comm"))
            .is_ok_and(|name| names(server).contains(&name.trim()))
    };
    processes
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let process = entry.path();
            if !works_there(&process) || !is_server(&process) {
                return None;
            }
            let parent = parent_in_stat(&fs::read_to_string(process.join("stat")).ok()?)?;
            Some(Found { pid, parent })
        })
        .collect()
}

/// The parent's id in the text of `/proc/<pid>/stat`: second word after the name, which stands in
/// parentheses and may itself hold spaces and parentheses.
#[cfg(target_os = "linux")]
fn parent_in_stat(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_whitespace().nth(1)?.parse().ok()
}

#[cfg(not(target_os = "linux"))]
fn find(server: Server, data: &Path) -> Vec<Found> {
    let listing = std::process::Command::new("ps")
        .args(["-axww", "-o", "pid=,ppid=,command="])
        .output();
    listing.map_or_else(
        |_| Vec::new(),
        |output| find_in_listing(server, data, &String::from_utf8_lossy(&output.stdout)),
    )
}

/// Without `/proc`: the servers' command lines name their folder (PostgreSQL's as an argument,
/// Redis' in the title it gives itself).
#[cfg(any(test, not(target_os = "linux")))]
fn find_in_listing(server: Server, data: &Path, listing: &str) -> Vec<Found> {
    let folder = format!(" {} ", data.display());
    listing
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let pid = words.next()?.parse().ok()?;
            let parent = words.next()?.parse().ok()?;
            let program = Path::new(words.next()?).file_name()?.to_str()?;
            // With a space on both sides: `/data/a` is not `/data/ab`, and may hold spaces itself.
            let names_folder = format!("{line} ").contains(&folder);
            (names(server).contains(&program) && names_folder).then_some(Found { pid, parent })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polite_signal_goes_to_the_head_of_a_family_only() {
        let family = [
            Found { pid: 7, parent: 1 },
            Found { pid: 8, parent: 7 },
            Found { pid: 9, parent: 7 },
        ];
        assert_eq!(heads(&family), [Found { pid: 7, parent: 1 }]);
    }

    #[test]
    fn stranger_in_the_folder_is_not_a_server_of_ours() {
        let folder = tempfile::tempdir().unwrap();
        let mut stranger = std::process::Command::new("sleep")
            .arg("60")
            .current_dir(folder.path())
            .spawn()
            .unwrap();
        assert!(!any(Server::PostgreSql, folder.path()));
        stop_orphans(Server::PostgreSql, folder.path()).unwrap();
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn server_is_recognised_by_name_and_folder_in_a_process_listing() {
        let listing = "  10 1 /opt/pg/bin/postgres -D /data/a -c port=1\n\
                       11 1 /opt/pg/bin/postgres -D /data/ab -c port=2\n\
                       12 1 tail -f /data/a\n\
                       13 1 redis-server 127.0.0.1:3 /data/a\n";
        let found = find_in_listing(Server::PostgreSql, Path::new("/data/a"), listing);
        assert_eq!(found, [Found { pid: 10, parent: 1 }]);
        let found = find_in_listing(Server::Redis, Path::new("/data/a"), listing);
        assert_eq!(found, [Found { pid: 13, parent: 1 }]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn parent_is_read_past_a_name_with_parentheses() {
        assert_eq!(parent_in_stat("12 (a) b) S 7 12 12 0"), Some(7));
    }
}
