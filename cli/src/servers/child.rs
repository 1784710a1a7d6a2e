//! Starts and stops one server process so that it never outlives us, runs as its own user, and is
//! out of reach of the terminal's Ctrl-C: `unity dev` stops its servers itself, in order.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Sender, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, fchdir, getpid, getppid, setsid};

use super::account::Account;
use super::error::ServersError;
use super::log::Log;

/// How often a process is asked whether it has ended or answers.
pub(super) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// How long a process is given to obey a signal that leaves it no choice.
const FORCED_PATIENCE: Duration = Duration::from_secs(5);

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Server {
    /// PostgreSQL.
    PostgreSql,
    /// Redis, or Valkey in its place.
    Redis,
}

impl Server {
    /// The signal for a clean stop. PostgreSQL's is SIGINT, "fast": SIGTERM would wait for every
    /// client to leave.
    pub(super) fn polite_signal(self) -> Signal {
        match self {
            Self::PostgreSql => Signal::SIGINT,
            Self::Redis => Signal::SIGTERM,
        }
    }

    /// How long a clean stop may take.
    pub(super) fn patience(self) -> Duration {
        match self {
            Self::PostgreSql => Duration::from_secs(20),
            Self::Redis => Duration::from_secs(10),
        }
    }

    /// The signal for a stop without farewell. PostgreSQL's is SIGQUIT, "immediate": on SIGKILL it
    /// could not take its own processes along.
    pub(super) fn forced_signal(self) -> Signal {
        match self {
            Self::PostgreSql => Signal::SIGQUIT,
            Self::Redis => Signal::SIGKILL,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::PostgreSql => "PostgreSQL",
            Self::Redis => "Redis",
        })
    }
}

/// What the process gets of its data folder. A handle works where a path does not: the process's
/// user need not be allowed to enter the folders above.
pub(super) enum Handle {
    /// It starts in the folder.
    Enter(File),
    /// It starts in `/` and inherits the handle under the same number.
    Inherit(File),
    /// It starts in `/` and knows the folder by its path.
    None,
}

/// A program to run and what surrounds it.
pub(super) struct Launch<'a> {
    pub(super) server: Server,
    pub(super) program: PathBuf,
    pub(super) arguments: Vec<OsString>,
    pub(super) account: Option<Account>,
    pub(super) handle: Handle,
    pub(super) input: Stdio,
    pub(super) log: &'a mut Log,
}

/// A running server process; dropping it stops it and waits until it is gone.
pub(super) struct ServerProcess {
    child: Child,
    server: Server,
    log: Log,
    #[cfg(not(target_os = "linux"))]
    watchdog: Option<super::watchdog::Watchdog>,
}

impl ServerProcess {
    pub(super) fn spawn(launch: Launch<'_>) -> Result<Self, ServersError> {
        let Launch {
            server,
            program,
            arguments,
            account,
            handle,
            input,
            log,
        } = launch;
        let output = log.open()?;
        let duplicate = output
            .try_clone()
            .map_err(ServersError::folder("open", log.path()))?;
        let mut command = Command::new(&program);
        command
            .args(arguments)
            .env("LC_ALL", "C")
            .current_dir("/")
            .stdin(input)
            .stdout(duplicate)
            .stderr(output);
        if let Some(account) = account {
            // The standard library also gives up root's supplementary groups here.
            command.uid(account.user).gid(account.group);
        }
        tie_to_parent(&mut command, handle, server.polite_signal());
        let child = spawn_on_lasting_thread(command)
            .map_err(|source| ServersError::Run { program, source })?;
        #[cfg(not(target_os = "linux"))]
        let watchdog = super::watchdog::Watchdog::guard(child.id(), server.polite_signal()).ok();
        Ok(Self {
            child,
            server,
            log: log.clone(),
            #[cfg(not(target_os = "linux"))]
            watchdog,
        })
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    pub(super) fn input(&mut self) -> Option<std::process::ChildStdin> {
        self.child.stdin.take()
    }

    /// How the process ended, `None` while it runs.
    pub(super) fn exit_status(&mut self) -> Result<Option<ExitStatus>, ServersError> {
        let (server, pid) = (self.server, self.pid());
        self.child.try_wait().map_err(|source| ServersError::Wait {
            server,
            pid,
            source,
        })
    }

    /// Waits until `ready` says yes, the process ends, or `limit` has passed.
    pub(super) fn wait_until(
        &mut self,
        limit: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<(), ServersError> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.exit_status()? {
                return Err(ServersError::EndedEarly {
                    server: self.server,
                    status,
                    log: self.log.path().to_owned(),
                    tail: self.log.tail(),
                });
            }
            if ready() {
                return Ok(());
            }
            if begun.elapsed() >= limit {
                return Err(ServersError::NotReady {
                    server: self.server,
                    waited: limit,
                    log: self.log.path().to_owned(),
                    tail: self.log.tail(),
                });
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// The status with which the process ends within `limit`, `None` if it does not.
    pub(super) fn wait_for_end(
        &mut self,
        limit: Duration,
    ) -> Result<Option<ExitStatus>, ServersError> {
        let begun = Instant::now();
        loop {
            let status = self.exit_status()?;
            if status.is_some() || begun.elapsed() >= limit {
                return Ok(status);
            }
            thread::sleep(POLL_INTERVAL);
        }
    }

    /// Stops the process, politely first, and reaps it. Does nothing if it has ended already.
    pub(super) fn stop(&mut self) -> Result<(), ServersError> {
        let steps = [
            (self.server.polite_signal(), self.server.patience()),
            (self.server.forced_signal(), FORCED_PATIENCE),
            (Signal::SIGKILL, FORCED_PATIENCE),
        ];
        for (signal, patience) in steps {
            if self.exit_status()?.is_some() {
                break;
            }
            self.signal(signal);
            if self.wait_for_end(patience)?.is_some() {
                break;
            }
        }
        #[cfg(not(target_os = "linux"))]
        drop(self.watchdog.take());
        Ok(())
    }

    /// Ends the process at once, and reaps it.
    pub(super) fn kill(&mut self) -> Result<(), ServersError> {
        self.signal(Signal::SIGKILL);
        self.wait_for_end(FORCED_PATIENCE)?;
        Ok(())
    }

    // The process has not been reaped, so its id is its own; that it may have ended meanwhile is
    // seen by whoever waits next.
    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            let _ended_meanwhile = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // Nobody is left to tell, and the process is tied to our own end.
        let _untold = self.stop();
    }
}

/// Makes the child leave our terminal session, take its data folder, and get `signal` when the
/// thread that starts it ends. The last also covers `kill -9` of this process.
#[expect(
    unsafe_code,
    reason = "only code between fork and exec can tie a child to its parent's life"
)]
fn tie_to_parent(command: &mut Command, handle: Handle, signal: Signal) {
    let parent = getpid();
    let hook = move || {
        setsid()?;
        match &handle {
            Handle::Enter(folder) => fchdir(folder)?,
            Handle::Inherit(folder) => {
                fcntl(folder, FcntlArg::F_SETFD(FdFlag::empty()))?;
            }
            Handle::None => {}
        }
        // After the change of user, which would have cleared it again.
        #[cfg(target_os = "linux")]
        nix::sys::prctl::set_pdeathsig(signal)?;
        // Elsewhere a watchdog sends it.
        #[cfg(not(target_os = "linux"))]
        let _ = signal;
        if getppid() != parent {
            // The parent ended before the signal was asked for, so that it will never come.
            return Err(Errno::ESRCH.into());
        }
        Ok(())
    };
    // SAFETY: the hook runs in the forked child and does nothing but plain system calls on values
    // it owns: it takes no lock and allocates nothing, and errors are bare numbers.
    unsafe {
        command.pre_exec(hook);
    }
}

/// Starts a process that gets `signal` when this process ends, however it ends.
pub(super) fn spawn_tied(mut command: Command, signal: Signal) -> io::Result<Child> {
    tie_to_parent(&mut command, Handle::None, signal);
    spawn_on_lasting_thread(command)
}

struct Request {
    command: Command,
    reply: SyncSender<io::Result<Child>>,
}

static SPAWNER: Mutex<Option<Sender<Request>>> = Mutex::new(None);

/// Starts the process from a thread that lives as long as we do: Linux sends the signal of
/// [`tie_to_parent`] when the *thread* that forked ends, and callers come from pools and tests whose
/// threads come and go.
fn spawn_on_lasting_thread(command: Command) -> io::Result<Child> {
    let (reply, answer) = mpsc::sync_channel(1);
    lasting_thread()?
        .send(Request { command, reply })
        .map_err(|_| thread_is_gone())?;
    answer.recv().map_err(|_| thread_is_gone())?
}

fn lasting_thread() -> io::Result<Sender<Request>> {
    let mut spawner = SPAWNER.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = spawner.as_ref() {
        return Ok(sender.clone());
    }
    let (sender, requests) = mpsc::channel::<Request>();
    thread::Builder::new()
        .name("server-parent".to_owned())
        .spawn(move || {
            for Request { mut command, reply } in requests {
                // A caller that went away gets no child: the drop of the answer leaves it running
                // until we end, and no caller of ours goes away before the answer.
                let _answered = reply.send(command.spawn());
            }
        })?;
    *spawner = Some(sender.clone());
    Ok(sender)
}

fn thread_is_gone() -> io::Error {
    io::Error::other("the thread that starts servers has ended")
}
