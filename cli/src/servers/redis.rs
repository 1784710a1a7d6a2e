//! A private Redis (or Valkey) server: 127.0.0.1 only, a free port, a password of its own for each
//! start.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use super::child::{Handle, Launch, Server, ServerProcess};
use super::cluster::random_password;
use super::error::ServersError;
use super::folder::ServerFolder;
use super::log::Log;
use super::orphans;
use super::port::{free_port, start_on_free_port};
use super::programs::Programs;

const START_LIMIT: Duration = Duration::from_secs(30);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How a private Redis is run.
#[derive(Clone, Copy, Debug)]
pub struct RedisOptions {
    /// Whether the data outlive the server: every write goes to an append-only file, which reaches
    /// the disk once a second. Otherwise nothing is ever written.
    pub persist: bool,
}

/// A running private Redis. It stops, and is waited for, when this is dropped.
pub struct PrivateRedis {
    process: ServerProcess,
    port: u16,
    password: String,
    options: RedisOptions,
    // Last: released when the server is gone.
    folder: ServerFolder,
}

impl PrivateRedis {
    /// Starts a server on the data in `data_dir/redis`, which is created if it is missing, and
    /// returns when it answers. A server that an earlier process left running there is stopped
    /// first.
    ///
    /// Blocks: some 20 ms as a rule, at most 30 s for an answer (while it loads its data).
    pub fn start(
        programs: &Programs,
        data_dir: &Path,
        options: RedisOptions,
    ) -> Result<Self, ServersError> {
        Self::start_on(programs, data_dir, options, &mut free_port)
    }

    fn start_on(
        programs: &Programs,
        data_dir: &Path,
        options: RedisOptions,
        choose_port: &mut dyn FnMut() -> io::Result<u16>,
    ) -> Result<Self, ServersError> {
        let server = Server::Redis;
        let folder = ServerFolder::open(data_dir, server)?;
        let data = folder.create("data")?;
        let mut log = folder.begin_log()?;
        orphans::stop_orphans(server, &data)?;
        let (process, port, password) = start_on_free_port(server, choose_port, |port| {
            // Anew for each attempt: the question whether it answers tells it to whoever listens.
            let password = random_password();
            let settings = settings(options, port, &password, &data);
            let mut process = launch(programs, &folder, &settings, &mut log)?;
            process.wait_until(START_LIMIT, || answers(port, &password).unwrap_or(false))?;
            Ok((process, port, password))
        })?;
        Ok(Self {
            process,
            port,
            password,
            options,
            folder,
        })
    }

    /// The address of database 0, password included. It names the user too, which is always
    /// `default`: `redis-cli -u` takes an empty name for a name.
    #[must_use]
    pub fn url(&self) -> String {
        let Self { password, port, .. } = self;
        format!("redis://default:{password}@127.0.0.1:{port}/0")
    }

    /// The port on 127.0.0.1. Another one after each start, and another password with it.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The process id of the server.
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

    /// Ends the server without farewell and starts it again on its data, with the same port and
    /// password. Blocks as [`PrivateRedis::start`] does.
    pub fn restart(&mut self, programs: &Programs) -> Result<(), ServersError> {
        self.process.kill()?;
        let (port, password) = (self.port, &*self.password);
        let settings = settings(self.options, port, password, &self.folder.data());
        let mut log = self.process.log().clone();
        self.process = launch(programs, &self.folder, &settings, &mut log)?;
        self.process
            .wait_until(START_LIMIT, || answers(port, password).unwrap_or(false))
    }

    /// Stops the server and waits for it: 10 s for a clean end, then it is killed. Dropping does
    /// the same.
    pub fn stop(mut self) -> Result<(), ServersError> {
        self.process.stop()
    }
}

fn launch(
    programs: &Programs,
    folder: &ServerFolder,
    settings: &str,
    log: &mut Log,
) -> Result<ServerProcess, ServersError> {
    let data = ServerFolder::open_folder(&folder.data())?;
    let mut process = ServerProcess::spawn(Launch {
        server: Server::Redis,
        program: programs.redis_server.clone(),
        // Settings come from the standard input: neither the command line nor a file holds them.
        arguments: vec!["-".into()],
        account: folder.account(),
        handle: Handle::Enter(data),
        input: Stdio::piped(),
        log,
    })?;
    if let Some(mut input) = process.input() {
        // A server that ended before it read this is reported by the wait that follows, with its log.
        let _ended = input.write_all(settings.as_bytes());
    }
    Ok(process)
}

/// It starts in its data folder and stays there, so no setting names it.
fn settings(options: RedisOptions, port: u16, password: &str, data: &Path) -> String {
    let append_only = if options.persist { "yes" } else { "no" };
    let title = title_setting(data);
    format!(
        "bind 127.0.0.1\n\
         port {port}\n\
         protected-mode yes\n\
         requirepass {password}\n\
         daemonize no\n\
         supervised no\n\
         save \"\"\n\
         appendonly {append_only}\n\
         appendfsync everysec\n\
         maxmemory-policy noeviction\n\
         {title}"
    )
}

/// Where there is no `/proc`, an orphan is recognised by the folder in its title.
fn title_setting(data: &Path) -> String {
    if cfg!(target_os = "linux") {
        return String::new();
    }
    let folder = data
        .to_string_lossy()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    format!("proc-title-template \"{{title}} {{listen-addr}} {folder}\"\n")
}

/// Whether the server on the port knows the password and serves commands; it refuses them while it
/// loads its data.
fn answers(port: u16, password: &str) -> io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, ANSWER_LIMIT)?;
    stream.set_read_timeout(Some(ANSWER_LIMIT))?;
    stream.set_write_timeout(Some(ANSWER_LIMIT))?;
    write!(stream, "AUTH {password}\r\nPING\r\n")?;
    let expected = b"+OK\r\n+PONG\r\n";
    let mut answer = [0; 12];
    stream.read_exact(&mut answer)?;
    Ok(&answer == expected)
}

#[cfg(test)]
mod tests {
    use std::mem;
    use std::net::TcpListener;

    use super::super::programs::programs_for_tests;
    use super::*;

    const FORGETTING: RedisOptions = RedisOptions { persist: false };
    const PERSISTENT: RedisOptions = RedisOptions { persist: true };

    fn start(data_dir: &Path, options: RedisOptions) -> PrivateRedis {
        PrivateRedis::start(programs_for_tests(), data_dir, options).unwrap()
    }

    fn command(url: &str, words: &[&str]) -> redis::RedisResult<Option<String>> {
        let mut connection = redis::Client::open(url)?.get_connection()?;
        let (name, arguments) = words.split_first().unwrap();
        redis::cmd(name).arg(arguments).query(&mut connection)
    }

    #[test]
    fn persistent_data_survive_a_stop_and_others_do_not() {
        for (options, expected) in [(PERSISTENT, Some("here")), (FORGETTING, None)] {
            let folder = tempfile::tempdir().unwrap();
            let server = start(folder.path(), options);
            command(&server.url(), &["SET", "key", "here"]).unwrap();
            let data = folder.path().join("redis/data");
            assert!(orphans::any(Server::Redis, &data));
            server.stop().unwrap();
            assert!(!orphans::any(Server::Redis, &data));

            let server = start(folder.path(), options);
            let found = command(&server.url(), &["GET", "key"]).unwrap();
            assert_eq!(found.as_deref(), expected);
        }
    }

    #[test]
    fn only_the_password_opens_the_server_and_no_command_line_shows_it() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), FORGETTING);
        let (url, password) = (server.url(), &server.password);
        assert_eq!(command(&url, &["PING"]).unwrap().as_deref(), Some("PONG"));
        for stranger in ["", "default:wrong@"] {
            let url = url.replace(&format!("default:{password}@"), stranger);
            assert!(command(&url, &["PING"]).is_err());
        }
        let listing = std::process::Command::new("ps")
            .args(["-axww", "-o", "pid=,command="])
            .output()
            .unwrap();
        let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
        assert!(listing.contains(&server.pid().to_string()), "{listing}");
        assert!(!listing.contains(password));
    }

    #[test]
    fn full_memory_is_an_error_and_never_evicts() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), FORGETTING);
        let info = command(&server.url(), &["INFO", "memory"])
            .unwrap()
            .unwrap();
        assert!(info.contains("maxmemory_policy:noeviction"), "{info}");
    }

    #[test]
    fn orphan_is_stopped_and_its_data_are_served_again() {
        let folder = tempfile::tempdir().unwrap();
        let server = start(folder.path(), PERSISTENT);
        command(&server.url(), &["SET", "key", "here"]).unwrap();
        let (orphan, orphaned_url) = (server.pid(), server.url());
        let PrivateRedis {
            process,
            folder: held,
            ..
        } = server;
        mem::forget(process);
        drop(held);

        let server = start(folder.path(), PERSISTENT);
        assert_ne!(server.pid(), orphan);
        assert!(command(&orphaned_url, &["PING"]).is_err());
        let found = command(&server.url(), &["GET", "key"]).unwrap();
        assert_eq!(found.as_deref(), Some("here"));
    }

    #[test]
    fn second_server_on_the_same_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let _first = start(folder.path(), FORGETTING);
        let second = PrivateRedis::start(programs_for_tests(), folder.path(), FORGETTING);
        assert!(matches!(second, Err(ServersError::InUse { .. })));
    }

    #[test]
    fn taken_port_is_given_up_for_another() {
        let folder = tempfile::tempdir().unwrap();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        let mut ports = [taken_port, free_port().unwrap()].into_iter();
        let mut choose = || ports.next().ok_or(io::ErrorKind::AddrInUse.into());
        let programs = programs_for_tests();
        let server =
            PrivateRedis::start_on(programs, folder.path(), FORGETTING, &mut choose).unwrap();
        assert_ne!(server.port(), taken_port);
        assert_eq!(
            command(&server.url(), &["PING"]).unwrap().as_deref(),
            Some("PONG")
        );
    }
}
