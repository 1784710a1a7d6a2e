//! A private PostgreSQL server: 127.0.0.1 only, a free port, one superuser with a random password.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::child::{Launch, Server, ServerProcess};
use super::cluster::{SUPERUSER, open_or_create, reach};
use super::error::ServersError;
use super::folder::ServerFolder;
use super::log::Log;
use super::orphans;
use super::port::{free_port, start_on_free_port};
use super::programs::Programs;

const START_LIMIT: Duration = Duration::from_secs(30);
const CONNECT_LIMIT: Duration = Duration::from_secs(1);
const PID_FILE: &str = "postmaster.pid";

/// How a private PostgreSQL is run.
#[derive(Clone, Copy, Debug)]
pub struct PostgresOptions {
    /// Whether committed data survive a crash of the machine. `false` is for tests: commits wait
    /// for no disk, and survive a crash of the server only.
    pub durable: bool,
    /// The most connections at a time; 1 to 262143, three of them reserved for superusers.
    pub max_connections: u32,
}

/// A running private PostgreSQL. It stops, and is waited for, when this is dropped.
pub struct PrivatePostgres {
    process: ServerProcess,
    port: u16,
    password: String,
    // Last: released when the server is gone.
    _folder: ServerFolder,
}

impl PrivatePostgres {
    /// Starts a server on the cluster in `data_dir/postgres`, which is created if there is none,
    /// and returns when it accepts connections. A server that an earlier process left running
    /// there is stopped first.
    ///
    /// Blocks: some 100 ms to start, 1 to 2 s more to create a cluster, at most 30 s for an answer
    /// (recovery after a crash).
    pub fn start(
        programs: &Programs,
        data_dir: &Path,
        options: PostgresOptions,
    ) -> Result<Self, ServersError> {
        Self::start_on(programs, data_dir, options, &mut free_port)
    }

    fn start_on(
        programs: &Programs,
        data_dir: &Path,
        options: PostgresOptions,
        choose_port: &mut dyn FnMut() -> io::Result<u16>,
    ) -> Result<Self, ServersError> {
        let server = Server::PostgreSql;
        let folder = ServerFolder::open(data_dir, server)?;
        let mut log = folder.begin_log()?;
        clear_earlier_start(&folder)?;
        let password = open_or_create(programs, &folder, options.durable, &mut log)?;
        let (process, port) = start_on_free_port(server, choose_port, |port| {
            let process = launch(programs, &folder, options, port, &mut log)?;
            Ok((process, port))
        })?;
        Ok(Self {
            process,
            port,
            password,
            _folder: folder,
        })
    }

    /// The superuser's address of the database `postgres`, password included. The superuser,
    /// `unity_owner`, may create databases and roles.
    #[must_use]
    pub fn superuser_url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("postgres://{SUPERUSER}:{password}@127.0.0.1:{port}/postgres")
    }

    /// The port on 127.0.0.1. Another one after each start.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server's head process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The server's log file.
    #[must_use]
    pub fn log_path(&self) -> &Path {
        self.process.log().path()
    }

    /// Whether the server has ended by itself. Fails with [`ServersError::Wait`] only.
    pub fn has_ended(&mut self) -> Result<bool, ServersError> {
        Ok(self.process.exit_status()?.is_some())
    }

    /// Disconnects all clients, stops the server, and waits for it: 20 s for a clean end, then it is
    /// ended without one, and recovers at its next start. Dropping does the same.
    pub fn stop(mut self) -> Result<(), ServersError> {
        self.process.stop()
    }
}

/// Stops what still runs on the cluster, and removes its mark. PostgreSQL would take a leftover
/// mark seriously whenever its number belongs to any process of the same user by now, which in
/// containers, where numbers start over, is the rule.
fn clear_earlier_start(folder: &ServerFolder) -> Result<(), ServersError> {
    let data = folder.data();
    orphans::stop_orphans(folder.server(), &data)?;
    if !cfg!(target_os = "linux") {
        // A server cannot be found with the same certainty: PostgreSQL's own check decides.
        return Ok(());
    }
    let mark = data.join(PID_FILE);
    match fs::remove_file(&mark) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(ServersError::folder("remove", mark)(error)),
    }
}

fn launch(
    programs: &Programs,
    folder: &ServerFolder,
    options: PostgresOptions,
    port: u16,
    log: &mut Log,
) -> Result<ServerProcess, ServersError> {
    let data = folder.data();
    let (handle, argument) = reach(folder, &data)?;
    let mut arguments = vec![OsString::from("-D"), argument];
    for setting in settings(options, port) {
        arguments.push("-c".into());
        arguments.push(setting.into());
    }
    let mut process = ServerProcess::spawn(Launch {
        server: Server::PostgreSql,
        program: programs.postgres_bin.join("postgres"),
        arguments,
        account: folder.account(),
        handle,
        input: Stdio::null(),
        log,
    })?;
    let pid = process.pid();
    let mark = data.join(PID_FILE);
    process.wait_until(START_LIMIT, || {
        fs::read_to_string(&mark).is_ok_and(|text| says_ready(&text, pid)) && accepts(port)
    })?;
    Ok(process)
}

/// Settings on the command line outrank every file of the cluster, so a cluster made by an older
/// version, or edited by its user, still listens only where it should.
fn settings(options: PostgresOptions, port: u16) -> Vec<String> {
    let PostgresOptions {
        durable,
        max_connections,
    } = options;
    let mut settings = vec![
        "listen_addresses=127.0.0.1".to_owned(),
        format!("port={port}"),
        // A socket's path may have 107 bytes, a data directory's many more; and nobody needs one.
        "unix_socket_directories=".to_owned(),
        format!("max_connections={max_connections}"),
        format!("shared_buffers={}", if durable { "128MB" } else { "64MB" }),
        "logging_collector=off".to_owned(),
        "log_destination=stderr".to_owned(),
        "timezone=UTC".to_owned(),
        "log_timezone=UTC".to_owned(),
        "lc_messages=C".to_owned(),
        "cluster_name=unity".to_owned(),
    ];
    if !durable {
        // Commits still leave the process before they are answered, so that they outlive it: with
        // fsync off, that costs next to nothing.
        settings.extend(["fsync=off", "full_page_writes=off"].map(str::to_owned));
    }
    settings
}

/// What `pg_ctl` goes by: the server writes its state into the eighth line when it accepts
/// connections. Better than a connection alone, which a stranger on the same port might answer.
fn says_ready(mark: &str, pid: u32) -> bool {
    let mut lines = mark.lines();
    let writer = lines.next().and_then(|line| line.trim().parse().ok());
    let state = lines.nth(6).map(str::trim);
    writer == Some(pid) && state == Some("ready")
}

fn accepts(port: u16) -> bool {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    TcpStream::connect_timeout(&address, CONNECT_LIMIT).is_ok()
}

#[cfg(test)]
mod tests {
    use std::mem;
    use std::net::TcpListener;

    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    use sqlx::{Connection, PgConnection};

    use super::super::programs::programs_for_tests;
    use super::*;

    const OPTIONS: PostgresOptions = PostgresOptions {
        durable: false,
        max_connections: 20,
    };

    fn start(data_dir: &Path) -> PrivatePostgres {
        PrivatePostgres::start(programs_for_tests(), data_dir, OPTIONS).unwrap()
    }

    fn ask(url: &str, statement: &'static str) -> Result<i64, sqlx::Error> {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let mut connection = PgConnection::connect(url).await?;
            sqlx::query_scalar(statement)
                .fetch_one(&mut connection)
                .await
        })
    }

    const REMEMBER: &str = "WITH made AS (SELECT set_config('x.y', 'z', false)) \
                            SELECT count(*) FROM lo_create(4711), made";
    const RECALL: &str = "SELECT count(*) FROM pg_largeobject_metadata WHERE oid = 4711";

    // A fresh temporary folder has mode 0700: where the tests run as root, the server's user cannot
    // walk to its data in any of them.

    #[test]
    fn data_survive_a_stop_and_the_server_leaves_nothing_running() {
        let folder = tempfile::tempdir().unwrap();
        let options = PostgresOptions {
            durable: true,
            ..OPTIONS
        };
        let server = PrivatePostgres::start(programs_for_tests(), folder.path(), options).unwrap();
        ask(&server.superuser_url(), REMEMBER).unwrap();
        let data = folder.path().join("postgres/data");
        assert!(orphans::any(Server::PostgreSql, &data));
        server.stop().unwrap();
        assert!(!orphans::any(Server::PostgreSql, &data));

        let server = start(folder.path());
        assert_eq!(ask(&server.superuser_url(), RECALL).unwrap(), 1);
    }

    #[test]
    fn only_the_password_opens_the_server_and_no_command_line_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path());
        let url = server.superuser_url();
        assert_eq!(ask(&url, "SELECT 1::bigint").unwrap(), 1);
        let wrong = url.replace(&server.password, "wrong");
        let error = ask(&wrong, "SELECT 1::bigint").unwrap_err().to_string();
        assert!(error.contains("password authentication failed"), "{error}");

        let listing = std::process::Command::new("ps")
            .args(["-axww", "-o", "pid=,command="])
            .output()
            .unwrap();
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        assert!(listing.contains(&server.pid().to_string()), "{listing}");
        assert!(!listing.contains(&server.password));
    }

    #[test]
    fn server_killed_without_warning_starts_again_with_its_data() {
        let folder = tempfile::tempdir().unwrap();
        let mut server = start(folder.path());
        ask(&server.superuser_url(), REMEMBER).unwrap();
        assert!(!server.has_ended().unwrap());
        kill(Pid::from_raw(server.pid().cast_signed()), Signal::SIGKILL).unwrap();
        let limit = Duration::from_secs(10);
        assert!(server.process.wait_for_end(limit).unwrap().is_some());
        assert!(server.has_ended().unwrap());
        assert!(folder.path().join("postgres/data").join(PID_FILE).exists());
        drop(server);

        let server = start(folder.path());
        assert_eq!(ask(&server.superuser_url(), RECALL).unwrap(), 1);
    }

    #[test]
    fn orphan_is_stopped_and_its_data_are_served_again() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path());
        ask(&server.superuser_url(), REMEMBER).unwrap();
        let (orphan, orphaned_port) = (server.pid(), server.port());
        let PrivatePostgres {
            process,
            _folder: held,
            ..
        } = server;
        mem::forget(process);
        drop(held);

        let server = start(folder.path());
        assert_ne!(server.pid(), orphan);
        assert_ne!(server.port(), orphaned_port);
        assert!(!accepts(orphaned_port));
        assert_eq!(ask(&server.superuser_url(), RECALL).unwrap(), 1);
    }

    #[test]
    fn second_server_on_the_same_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let first = start(folder.path());
        let second = PrivatePostgres::start(programs_for_tests(), folder.path(), OPTIONS);
        assert!(matches!(second, Err(ServersError::InUse { .. })));
        assert_eq!(ask(&first.superuser_url(), "SELECT 1::bigint").unwrap(), 1);
    }

    #[test]
    fn taken_port_and_unfinished_cluster_do_not_keep_the_server_from_starting() {
        let folder = tempfile::tempdir().unwrap();
        let unfinished = folder.path().join("postgres/unfinished-1/base");
        fs::create_dir_all(&unfinished).unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        let mut ports = [taken_port, free_port().unwrap()].into_iter();
        let mut choose = || ports.next().ok_or(io::ErrorKind::AddrInUse.into());
        let programs = programs_for_tests();
        let server =
            PrivatePostgres::start_on(programs, folder.path(), OPTIONS, &mut choose).unwrap();
        assert_ne!(server.port(), taken_port);
        assert!(!unfinished.exists());
        assert_eq!(ask(&server.superuser_url(), "SELECT 1::bigint").unwrap(), 1);
    }

    #[test]
    fn cluster_of_another_major_version_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("postgres/data");
        fs::create_dir_all(&data).unwrap();
        fs::write(data.join("PG_VERSION"), "9\n").unwrap();
        let outcome = PrivatePostgres::start(programs_for_tests(), folder.path(), OPTIONS);
        let error = outcome.err().unwrap();
        assert!(
            matches!(error, ServersError::OtherMajorVersion { .. }),
            "{error}"
        );
        assert_eq!(fs::read_dir(&data).unwrap().count(), 1);
    }

    #[test]
    fn failed_start_shows_what_the_server_said_and_where() {
        let folder = tempfile::tempdir().unwrap();
        start(folder.path()).stop().unwrap();
        let settings = folder.path().join("postgres/data/postgresql.auto.conf");
        fs::write(settings, "no_such_setting = on\n").unwrap();
        let outcome = PrivatePostgres::start(programs_for_tests(), folder.path(), OPTIONS);
        let error = outcome.err().unwrap().to_string();
        assert!(error.contains("no_such_setting"), "{error}");
        assert!(error.contains("/postgres/log"), "{error}");
    }

    #[test]
    fn readiness_is_believed_from_our_own_server_only() {
        let mark = "12\n/data\n1\n5432\n\n127.0.0.1\n  1 2\nready   \n";
        assert!(says_ready(mark, 12));
        assert!(!says_ready(mark, 13));
        assert!(!says_ready(&mark.replace("ready   ", "starting"), 12));
        assert!(!says_ready("", 12));
    }
}
