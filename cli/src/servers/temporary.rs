//! A pair of private servers for the life of one process: what tests and benchmarks run on. Nobody
//! has to stop them: they go when the process goes, and their folder goes with the next process that
//! starts some.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, geteuid};

use super::child::Server;
use super::error::ServersError;
use super::lock::DataDirLock;
use super::orphans;
use super::postgres::{PostgresOptions, PrivatePostgres};
use super::programs::Programs;
use super::redis::{PrivateRedis, RedisOptions};

const PREFIX: &str = "unity-test-";

/// How a temporary pair is run.
#[derive(Clone, Copy, Debug)]
pub struct TemporaryOptions {
    /// Whether PostgreSQL waits for the disk at each commit, and Redis keeps its append-only file: as
    /// users run them, and of no use to tests.
    pub durable: bool,
    /// The most connections to PostgreSQL at a time.
    pub max_connections: u32,
}

impl Default for TemporaryOptions {
    /// What tests want.
    fn default() -> Self {
        Self {
            durable: false,
            max_connections: 200,
        }
    }
}

/// A private PostgreSQL and a private Redis in a temporary folder.
///
/// Dropping it stops both and removes the folder. A process that keeps it in a `static` never drops
/// it: then the servers end with the process, and the next [`TemporaryServers::start`] of the same
/// user on this machine removes the folder.
pub struct TemporaryServers {
    postgres: PrivatePostgres,
    redis: PrivateRedis,
    // Last: removed when both servers are gone.
    folder: TemporaryFolder,
}

impl TemporaryServers {
    /// Starts both without durability, as [`TemporaryServers::start_with`] does.
    pub fn start(programs: &Programs) -> Result<Self, ServersError> {
        Self::start_with(programs, TemporaryOptions::default())
    }

    /// Starts both, after removing the folders that dead processes left. Blocks for 2 to 4 s, most
    /// of it for a fresh cluster.
    pub fn start_with(
        programs: &Programs,
        options: TemporaryOptions,
    ) -> Result<Self, ServersError> {
        let parent = env::temp_dir();
        remove_leftovers(&parent);
        let folder = TemporaryFolder::create(&parent)?;
        let TemporaryOptions {
            durable,
            max_connections,
        } = options;
        let redis = PrivateRedis::start(programs, &folder.path, RedisOptions { persist: durable })?;
        let postgres_options = PostgresOptions {
            durable,
            max_connections,
        };
        let postgres = PrivatePostgres::start(programs, &folder.path, postgres_options)?;
        Ok(Self {
            postgres,
            redis,
            folder,
        })
    }

    /// The PostgreSQL of the pair.
    #[must_use]
    pub fn postgres(&self) -> &PrivatePostgres {
        &self.postgres
    }

    /// The Redis of the pair.
    #[must_use]
    pub fn redis(&self) -> &PrivateRedis {
        &self.redis
    }

    /// Kills Redis and starts it again on its data, with the same port and password.
    pub fn restart_redis(&mut self, programs: &Programs) -> Result<(), ServersError> {
        self.redis.restart(programs)
    }

    /// The folder of both, with their logs in `postgres/log` and `redis/log`.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder.path
    }
}

/// `<temporary folder>/unity-test-<process>-<random>`, locked while its process lives.
struct TemporaryFolder {
    path: PathBuf,
    _lock: DataDirLock,
}

impl TemporaryFolder {
    fn create(parent: &Path) -> Result<Self, ServersError> {
        let own = std::process::id();
        let path = parent.join(format!("{PREFIX}{own}-{:08x}", rand::random::<u32>()));
        // Not recursive: a folder that somebody else has prepared is an error.
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(ServersError::folder("create", &path))?;
        let lock = DataDirLock::acquire(&path)?;
        Ok(Self { path, _lock: lock })
    }
}

impl Drop for TemporaryFolder {
    fn drop(&mut self) {
        // What cannot be removed now is a leftover for the next start.
        let _leftover = fs::remove_dir_all(&self.path);
    }
}

/// Removes the folders of processes that are gone. Whatever is in doubt stays: it costs disk only.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let owner = entry.file_name().to_str().and_then(process_in_name);
        if owner.is_some_and(is_dead) && is_folder_of_ours(&entry.path()) {
            // Another process at the same work is no harm.
            let _for_the_next = remove_leftover(&entry.path());
        }
    }
}

fn process_in_name(name: &str) -> Option<i32> {
    let (pid, _) = name.strip_prefix(PREFIX)?.split_once('-')?;
    pid.parse().ok().filter(|pid| *pid > 0)
}

fn is_dead(pid: i32) -> bool {
    kill(Pid::from_raw(pid), None) == Err(Errno::ESRCH)
}

fn is_folder_of_ours(path: &Path) -> bool {
    // Of the entry itself: a link is never followed.
    fs::symlink_metadata(path)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == geteuid().as_raw())
}

fn remove_leftover(path: &Path) -> Result<(), ServersError> {
    // The number may look dead from another container that shares the folder: the lock does not.
    let _lock = DataDirLock::acquire(path)?;
    for (server, name) in [(Server::PostgreSql, "postgres"), (Server::Redis, "redis")] {
        let data = path.join(name).join("data");
        if orphans::any(server, &data) {
            // Still on its way down.
            orphans::stop_orphans(server, &data)?;
        }
    }
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ServersError::folder("remove", path)(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::super::child::POLL_INTERVAL;
    use super::super::programs::programs_for_tests;
    use super::*;

    const ROLE: &str = "UNITY_SERVERS_TEST_ROLE";
    const STARTED: &str = "servers started in ";
    /// A process id that the kernel never gives.
    const NOBODY: i32 = i32::MAX;

    fn leftover(parent: &Path, process: i64, name: &str) -> PathBuf {
        let path = parent.join(format!("{PREFIX}{process}-{name}"));
        fs::create_dir(&path).unwrap();
        path
    }

    #[test]
    fn dropped_pair_leaves_neither_processes_nor_files() {
        let servers = TemporaryServers::start(programs_for_tests()).unwrap();
        let folder = servers.folder().to_owned();
        assert!(
            servers
                .postgres()
                .superuser_url()
                .starts_with("postgres://unity_owner:")
        );
        assert!(servers.redis().url().starts_with("redis://default:"));
        let (postgres, redis) = (folder.join("postgres/data"), folder.join("redis/data"));
        assert!(orphans::any(Server::PostgreSql, &postgres));
        assert!(orphans::any(Server::Redis, &redis));
        let pids = [servers.postgres().pid(), servers.redis().pid()];
        drop(servers);
        assert!(pids.into_iter().all(|pid| is_dead(pid.cast_signed())));
        assert!(!folder.exists());
    }

    #[test]
    fn only_own_folders_of_dead_processes_are_removed() {
        let parent = tempfile::tempdir().unwrap();
        let dead = leftover(parent.path(), NOBODY.into(), "a");
        let alive = leftover(parent.path(), std::process::id().into(), "a");
        let locked = leftover(parent.path(), NOBODY.into(), "b");
        let _lock = DataDirLock::acquire(&locked).unwrap();
        let nameless = leftover(parent.path(), 0, "a");
        let link = parent.path().join(format!("{PREFIX}{NOBODY}-link"));
        std::os::unix::fs::symlink(parent.path(), &link).unwrap();
        let foreign = leftover(parent.path(), NOBODY.into(), "c");
        if geteuid().is_root() {
            std::os::unix::fs::chown(&foreign, Some(4711), None).unwrap();
        }

        remove_leftovers(parent.path());
        assert!(!dead.exists());
        for kept in [alive, locked, nameless, link] {
            assert!(kept.exists(), "{}", kept.display());
        }
        assert_eq!(foreign.exists(), geteuid().is_root());
    }

    #[test]
    fn killed_process_takes_its_servers_along_and_the_next_one_tidies_up() {
        if env::var_os(ROLE).is_some() {
            keep_servers_until_killed();
            return;
        }
        let parent = tempfile::tempdir().unwrap();
        let (mut child, folder) = start_keeper(parent.path());
        let (postgres, redis) = (folder.join("postgres/data"), folder.join("redis/data"));
        assert!(orphans::any(Server::PostgreSql, &postgres));
        assert!(orphans::any(Server::Redis, &redis));

        child.kill().unwrap();
        child.wait().unwrap();
        let begun = Instant::now();
        while orphans::any(Server::PostgreSql, &postgres) || orphans::any(Server::Redis, &redis) {
            assert!(begun.elapsed() < Duration::from_secs(20), "servers live on");
            thread::sleep(POLL_INTERVAL);
        }

        assert!(folder.exists());
        remove_leftovers(parent.path());
        assert!(!folder.exists());
    }

    /// This very test in a process of its own, which can be killed.
    fn start_keeper(temporary_folder: &Path) -> (Child, PathBuf) {
        let (_, module) = module_path!().split_once("::").unwrap();
        let name = "killed_process_takes_its_servers_along_and_the_next_one_tidies_up";
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "--nocapture", &format!("{module}::{name}")])
            .env(ROLE, "keeper")
            .env("TMPDIR", temporary_folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let folder = BufReader::new(child.stdout.take().unwrap())
            .lines()
            .map(Result::unwrap)
            .find_map(|line| {
                line.split_once(STARTED)
                    .map(|(_, path)| PathBuf::from(path))
            })
            .expect("the keeper tells its folder");
        (child, folder)
    }

    fn keep_servers_until_killed() {
        let servers = TemporaryServers::start(programs_for_tests()).unwrap();
        println!("{STARTED}{}", servers.folder().display());
        let _until_the_other_end_closes = io::stdin().read(&mut [0]);
        drop(servers);
    }
}
