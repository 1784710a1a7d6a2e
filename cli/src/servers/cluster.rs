//! The files of a private PostgreSQL: creates the cluster with `initdb` under a random password,
//! so that it is there whole or not at all, and checks one that exists.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use super::child::{Handle, Launch, ServerProcess};
use super::error::ServersError;
use super::folder::ServerFolder;
use super::log::Log;
use super::programs::Programs;

/// The superuser of the cluster.
pub(super) const SUPERUSER: &str = "unity_owner";

/// What a cluster in the making is called before it becomes `data`.
const UNFINISHED_PREFIX: &str = "unfinished-";
const PASSWORD: &str = "password";
const CREATE_LIMIT: Duration = Duration::from_mins(2);

/// Makes sure that the folder holds a cluster that `programs` can serve, and returns the
/// superuser's password. `durable` says whether a fresh cluster must survive a power failure.
pub(super) fn open_or_create(
    programs: &Programs,
    folder: &ServerFolder,
    durable: bool,
    log: &mut Log,
) -> Result<String, ServersError> {
    let version_file = folder.data().join("PG_VERSION");
    match fs::read_to_string(&version_file) {
        Ok(version) => {
            check_version(programs, folder, version.trim())?;
            let path = folder.file(PASSWORD);
            let password = fs::read_to_string(&path).map_err(ServersError::folder("read", path))?;
            Ok(password.trim().to_owned())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            create(programs, folder, durable, log)
        }
        Err(error) => Err(ServersError::folder("read", version_file)(error)),
    }
}

fn check_version(
    programs: &Programs,
    folder: &ServerFolder,
    version: &str,
) -> Result<(), ServersError> {
    if version == programs.postgres_major.to_string() {
        return Ok(());
    }
    Err(ServersError::OtherMajorVersion {
        path: folder.data(),
        cluster: version.to_owned(),
        program: programs.postgres_major,
    })
}

fn create(
    programs: &Programs,
    folder: &ServerFolder,
    durable: bool,
    log: &mut Log,
) -> Result<String, ServersError> {
    let password = random_password();
    let password_file = folder.file(PASSWORD);
    write_password(&password_file, &password)
        .map_err(ServersError::folder("write", &password_file))?;
    // `initdb` reads it as its own user, from its standard input: by name it might not get there.
    folder.hand_over(&password_file)?;

    remove_unfinished(folder);
    // C.UTF-8 knows the letters of all languages; where the system lacks it, C knows the bytes.
    let unfinished = match run_initdb(programs, folder, &password_file, "C.UTF-8", durable, log) {
        Err(ServersError::CreateCluster { tail }) if tail.contains("invalid locale") => {
            run_initdb(programs, folder, &password_file, "C", durable, log)?
        }
        outcome => outcome?,
    };
    fs::rename(&unfinished, folder.data()).map_err(ServersError::folder("rename", unfinished))?;
    if durable {
        let home = folder.file(".");
        File::open(&home)
            .and_then(|file| file.sync_all())
            .map_err(ServersError::folder("sync", home))?;
    }
    Ok(password)
}

/// Removes what killed processes left unfinished. Their `initdb` may still be busy removing it
/// itself: what cannot be removed now stays for the next time.
fn remove_unfinished(folder: &ServerFolder) {
    let Ok(entries) = fs::read_dir(folder.file(".")) else {
        return;
    };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.starts_with(UNFINISHED_PREFIX))
        {
            let _for_the_next_time = fs::remove_dir_all(entry.path());
        }
    }
}

/// Makes a cluster and returns its folder, whose name nobody has used before.
fn run_initdb(
    programs: &Programs,
    folder: &ServerFolder,
    password_file: &Path,
    locale: &str,
    durable: bool,
    log: &mut Log,
) -> Result<PathBuf, ServersError> {
    let name = format!("{UNFINISHED_PREFIX}{:08x}", rand::random::<u32>());
    let place = folder.create(&name)?;
    let (handle, argument) = reach(folder, &place)?;
    let password =
        File::open(password_file).map_err(ServersError::folder("open", password_file))?;
    let mut arguments = vec![
        OsString::from("-D"),
        argument,
        format!("--username={SUPERUSER}").into(),
        format!("--locale={locale}").into(),
        "--pwfile=/dev/stdin".into(),
        "--auth=scram-sha-256".into(),
        "--encoding=UTF8".into(),
        "--no-instructions".into(),
    ];
    if !durable {
        arguments.push("--no-sync".into());
    }
    let mut process = ServerProcess::spawn(Launch {
        server: folder.server(),
        program: programs.postgres_bin.join("initdb"),
        arguments,
        account: folder.account(),
        handle,
        input: Stdio::from(password),
        log,
    })?;
    match process.wait_for_end(CREATE_LIMIT)? {
        Some(status) if status.success() => Ok(place),
        Some(_) | None => Err(ServersError::CreateCluster {
            tail: process.log().tail(),
        }),
    }
}

/// How a PostgreSQL program gets at `place`, and what to write after its `-D`.
///
/// A program of another user gets an open handle and a path that leads through it, which works
/// whatever the folders above allow. (It cannot just start in the folder: PostgreSQL 15 leaves its
/// working directory for a moment to find its own files, and comes back by name.) That path exists
/// on Linux only; elsewhere such a user must be able to walk to the folder.
pub(super) fn reach(
    folder: &ServerFolder,
    place: &Path,
) -> Result<(Handle, OsString), ServersError> {
    if folder.account().is_none() || !cfg!(target_os = "linux") {
        return Ok((Handle::None, place.as_os_str().to_owned()));
    }
    let handle = ServerFolder::open_folder(place)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&handle);
    let path = format!("/proc/self/fd/{number}").into();
    Ok((Handle::Inherit(handle), path))
}

fn write_password(path: &Path, password: &str) -> io::Result<()> {
    // A leftover of an unfinished start may belong to the server's user: never write into it.
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    writeln!(file, "{password}")?;
    file.sync_all()
}

/// 128 random bits in hexadecimal digits, which need no escaping in an address or a settings file.
pub(super) fn random_password() -> String {
    format!("{:032x}", rand::random::<u128>())
}
