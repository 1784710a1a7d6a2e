//! Finds the programs of PostgreSQL and Redis on this machine. A name on the PATH proves nothing:
//! what counts is a complete set of programs that says it is the right product, new enough.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::child::POLL_INTERVAL;
use super::error::ServersError;
use super::install::install;

/// The oldest usable major version of PostgreSQL.
pub(super) const POSTGRES_MINIMUM: u32 = 15;
/// The oldest usable major version of Redis, and of Valkey, which went on from Redis 7.
pub(super) const REDIS_MINIMUM: u32 = 7;

const POSTGRES_VARIABLE: &str = "UNITY_POSTGRES_BIN";
const REDIS_VARIABLE: &str = "UNITY_REDIS_SERVER";

/// How long a program may take to tell its version; some other program of the same name may wait
/// for ever.
const VERSION_LIMIT: Duration = Duration::from_secs(5);
const VERSION_BYTES: u64 = 4096;

/// Programs to run private servers with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Programs {
    /// The folder that holds `initdb` and `postgres`; most have `psql` too.
    pub postgres_bin: PathBuf,
    /// The major version of PostgreSQL there, 15 or more.
    pub postgres_major: u32,
    /// `redis-server` 7 or newer, or `valkey-server`. To be run under this very name: on Debian it
    /// is a link to a program that does something else under its own.
    pub redis_server: PathBuf,
}

/// Finds both servers' programs, or installs what is missing with the system's package manager:
/// with `apt-get`, as root or through `sudo`. `announce` is told in one line each what is about to
/// happen, before it happens.
///
/// `UNITY_POSTGRES_BIN` (a folder) and `UNITY_REDIS_SERVER` (a program) are used instead of any
/// other when set. Fails with [`ServersError::Missing`], which has the command to run, where
/// installing is not possible.
pub fn find_or_install(announce: &dyn Fn(&str)) -> Result<Programs, ServersError> {
    let surroundings = Surroundings::of_this_process();
    match find(&surroundings)? {
        Search::Complete(programs) => Ok(programs),
        Search::Lacking(missing) => {
            install(missing, &surroundings.path, announce)?;
            match find(&surroundings)? {
                Search::Complete(programs) => Ok(programs),
                Search::Lacking(missing) => Err(ServersError::StillMissing {
                    missing: missing.describe(),
                }),
            }
        }
    }
}

/// What is not on this machine; at least one of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) postgres: bool,
    pub(super) redis: bool,
}

impl Missing {
    pub(super) fn describe(self) -> String {
        let mut parts = Vec::new();
        if self.postgres {
            parts.push(format!("PostgreSQL {POSTGRES_MINIMUM} or newer"));
        }
        if self.redis {
            parts.push(format!("Redis {REDIS_MINIMUM} or newer"));
        }
        parts.join(" and ")
    }
}

enum Search {
    Complete(Programs),
    Lacking(Missing),
}

struct Surroundings {
    path: OsString,
    postgres_bin: Option<PathBuf>,
    redis_server: Option<PathBuf>,
    /// Folders besides those of the path, in order of preference.
    postgres_folders: Vec<PathBuf>,
    redis_folders: Vec<PathBuf>,
}

impl Surroundings {
    fn of_this_process() -> Self {
        let path = env::var_os("PATH").unwrap_or_default();
        let postgres_folders = usual_postgres_folders(&path);
        let folders = [
            "/usr/bin",
            "/usr/sbin",
            "/usr/local/bin",
            "/opt/homebrew/bin",
            "/opt/homebrew/opt/redis/bin",
        ];
        Self {
            path,
            postgres_bin: env::var_os(POSTGRES_VARIABLE).map(PathBuf::from),
            redis_server: env::var_os(REDIS_VARIABLE).map(PathBuf::from),
            postgres_folders,
            redis_folders: folders.map(PathBuf::from).to_vec(),
        }
    }
}

fn usual_postgres_folders(path: &OsStr) -> Vec<PathBuf> {
    let mut folders = Vec::new();
    // Debian, Red Hat (PGDG), Alpine, Homebrew on both kinds of Mac.
    folders.extend(newest_first("/usr/lib/postgresql", "", "bin"));
    folders.extend(newest_first("/usr", "pgsql-", "bin"));
    folders.extend(newest_first("/usr/libexec", "postgresql", ""));
    folders.extend(newest_first("/opt/homebrew/opt", "postgresql@", "bin"));
    folders.extend(newest_first("/usr/local/opt", "postgresql@", "bin"));
    let told = env::split_paths(path)
        .map(|folder| folder.join("pg_config"))
        .find(|program| is_program(program))
        .and_then(|program| output_of(&program, "--bindir"));
    folders.extend(told.map(|text| PathBuf::from(text.trim())));
    folders.push(PathBuf::from("/usr/local/pgsql/bin"));
    folders
}

/// The folders `<parent>/<prefix><number>/<child>`, highest number first.
fn newest_first(parent: &str, prefix: &str, child: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((version, entry.path().join(child)))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

fn find(surroundings: &Surroundings) -> Result<Search, ServersError> {
    let postgres = find_postgres(surroundings)?;
    let redis = find_redis(surroundings)?;
    Ok(match (postgres, redis) {
        (Some((postgres_bin, postgres_major)), Some(redis_server)) => Search::Complete(Programs {
            postgres_bin,
            postgres_major,
            redis_server,
        }),
        (postgres, redis) => Search::Lacking(Missing {
            postgres: postgres.is_none(),
            redis: redis.is_none(),
        }),
    })
}

fn find_postgres(surroundings: &Surroundings) -> Result<Option<(PathBuf, u32)>, ServersError> {
    if let Some(folder) = &surroundings.postgres_bin {
        return usable_postgres(folder).map(Some).map_err(|reason| {
            ServersError::UnusableOverride {
                variable: POSTGRES_VARIABLE,
                path: folder.clone(),
                reason,
            }
        });
    }
    let on_path = env::split_paths(&surroundings.path);
    Ok(on_path
        .chain(surroundings.postgres_folders.iter().cloned())
        .find_map(|folder| usable_postgres(&folder).ok()))
}

/// The folder with all links resolved, since PostgreSQL finds its other files from there, and the
/// major version.
fn usable_postgres(folder: &Path) -> Result<(PathBuf, u32), String> {
    for name in ["initdb", "postgres"] {
        if !is_program(&folder.join(name)) {
            return Err(format!("there is no program {name} in it"));
        }
    }
    let resolved = fs::canonicalize(folder.join("postgres"))
        .ok()
        .and_then(|program| program.parent().map(Path::to_owned))
        .filter(|resolved| is_program(&resolved.join("initdb")))
        .unwrap_or_else(|| folder.to_owned());
    let text = output_of(&resolved.join("postgres"), "--version").unwrap_or_default();
    match major_after("(PostgreSQL) ", &text) {
        Some(major) if major >= POSTGRES_MINIMUM => Ok((resolved, major)),
        Some(major) => Err(format!(
            "it is PostgreSQL {major}, and {POSTGRES_MINIMUM} or newer is needed"
        )),
        None => Err("its postgres does not say that it is PostgreSQL".to_owned()),
    }
}

fn find_redis(surroundings: &Surroundings) -> Result<Option<PathBuf>, ServersError> {
    if let Some(program) = &surroundings.redis_server {
        return match usable_redis(program) {
            Ok(()) => Ok(Some(program.clone())),
            Err(reason) => Err(ServersError::UnusableOverride {
                variable: REDIS_VARIABLE,
                path: program.clone(),
                reason,
            }),
        };
    }
    let folders: Vec<PathBuf> = env::split_paths(&surroundings.path)
        .chain(surroundings.redis_folders.iter().cloned())
        .collect();
    Ok(["redis-server", "valkey-server"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| usable_redis(program).is_ok()))
}

fn usable_redis(program: &Path) -> Result<(), String> {
    if !is_program(program) {
        return Err("it is not a program".to_owned());
    }
    let text = output_of(program, "--version").unwrap_or_default();
    if !text.contains("Redis server v=") && !text.contains("Valkey server v=") {
        return Err("it does not say that it is a Redis or Valkey server".to_owned());
    }
    match major_after(" server v=", &text) {
        Some(major) if major >= REDIS_MINIMUM => Ok(()),
        Some(_) | None => Err(format!(
            "its version is older than {REDIS_MINIMUM}: {}",
            text.trim()
        )),
    }
}

fn is_program(path: &Path) -> bool {
    // An empty entry of the path means the current folder: programs are not taken from there.
    path.is_absolute()
        && fs::metadata(path)
            .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The number that follows `mark`: 15 of `postgres (PostgreSQL) 15.13`, 18 of `18beta1`.
fn major_after(mark: &str, text: &str) -> Option<u32> {
    let (_, rest) = text.split_once(mark)?;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The start of what a program prints, `None` if it fails or does not end in time.
fn output_of(program: &Path, argument: &str) -> Option<String> {
    let mut child = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let begun = Instant::now();
    let ended = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status.success(),
            Ok(None) if begun.elapsed() < VERSION_LIMIT => thread::sleep(POLL_INTERVAL),
            Ok(None) | Err(_) => {
                let _ended_meanwhile = child.kill();
                let _reaped = child.wait();
                break false;
            }
        }
    };
    if !ended {
        return None;
    }
    let mut bytes = Vec::new();
    child
        .stdout
        .take()?
        .take(VERSION_BYTES)
        .read_to_end(&mut bytes)
        .ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The programs of this machine for the tests that start real servers.
#[cfg(test)]
pub(super) fn programs_for_tests() -> &'static Programs {
    static PROGRAMS: std::sync::LazyLock<Programs> =
        std::sync::LazyLock::new(|| find_or_install(&|_| {}).expect("servers can be had"));
    &PROGRAMS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put_program(folder: &Path, name: &str, prints: &str) {
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\necho '{prints}'\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn surroundings(path: &[&Path]) -> Surroundings {
        Surroundings {
            path: env::join_paths(path).unwrap(),
            postgres_bin: None,
            redis_server: None,
            postgres_folders: Vec::new(),
            redis_folders: Vec::new(),
        }
    }

    #[test]
    fn another_program_called_postgres_is_passed_over() {
        let [impostor, half, old, good] = [(); 4].map(|()| tempfile::tempdir().unwrap());
        put_program(impostor.path(), "initdb", "something else 99");
        put_program(impostor.path(), "postgres", "something else 99");
        put_program(half.path(), "postgres", "postgres (PostgreSQL) 17.1");
        for (folder, version) in [(&old, "14.9"), (&good, "16beta1 (Debian 16)")] {
            put_program(folder.path(), "initdb", "");
            let version = format!("postgres (PostgreSQL) {version}");
            put_program(folder.path(), "postgres", &version);
        }
        let path = [impostor.path(), half.path(), old.path(), good.path()];
        let found = find_postgres(&surroundings(&path)).unwrap();
        let expected = fs::canonicalize(good.path()).unwrap();
        assert_eq!(found, Some((expected, 16)));
        let found = find_postgres(&surroundings(&path[..3])).unwrap();
        assert_eq!(found, None);
    }

    #[test]
    fn links_to_the_programs_lead_to_their_own_folder() {
        let [links, real] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        for name in ["initdb", "postgres"] {
            put_program(real.path(), name, "postgres (PostgreSQL) 15.2");
            std::os::unix::fs::symlink(real.path().join(name), links.path().join(name)).unwrap();
        }
        let found = find_postgres(&surroundings(&[links.path()])).unwrap();
        let expected = fs::canonicalize(real.path()).unwrap();
        assert_eq!(found, Some((expected, 15)));
    }

    #[test]
    fn old_redis_is_passed_over_for_a_valkey() {
        let [old, new] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        put_program(old.path(), "redis-server", "Redis server v=6.0.16 sha=0");
        put_program(new.path(), "valkey-server", "Valkey server v=8.0.1 sha=0");
        let found = find_redis(&surroundings(&[old.path(), new.path()])).unwrap();
        assert_eq!(found, Some(new.path().join("valkey-server")));
    }

    #[test]
    fn unusable_override_is_an_error_and_not_skipped() {
        let [named, good] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        put_program(good.path(), "redis-server", "Redis server v=7.0.15 sha=0");
        put_program(named.path(), "redis-server", "Redis server v=6.2.0 sha=0");
        let mut surroundings = surroundings(&[good.path()]);
        surroundings.redis_server = Some(named.path().join("redis-server"));
        surroundings.postgres_bin = Some(named.path().to_owned());
        let error = find_redis(&surroundings).unwrap_err().to_string();
        assert!(error.starts_with("UNITY_REDIS_SERVER names "), "{error}");
        assert!(error.contains("v=6.2.0"), "{error}");
        let error = find_postgres(&surroundings).unwrap_err().to_string();
        assert!(
            error.ends_with("there is no program initdb in it"),
            "{error}"
        );
    }

    #[test]
    fn newest_version_comes_first() {
        let parent = tempfile::tempdir().unwrap();
        for name in ["9", "17", "15", "common"] {
            fs::create_dir(parent.path().join(name)).unwrap();
        }
        let found = newest_first(parent.path().to_str().unwrap(), "", "bin");
        let expected = ["17/bin", "15/bin", "9/bin"].map(|name| parent.path().join(name));
        assert_eq!(found, expected);
    }
}
