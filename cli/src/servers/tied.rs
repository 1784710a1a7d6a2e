//! A child process of our own making that never outlives us: another part of Unity, started from this
//! very executable.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::child::{POLL_INTERVAL, spawn_tied};

/// A running child; dropping it kills it and waits until it is gone. It is killed, too, when this
/// process ends, however that ends.
pub struct TiedChild {
    child: Child,
    #[cfg(not(target_os = "linux"))]
    _watchdog: super::watchdog::Watchdog,
}

impl TiedChild {
    /// Starts `command` out of the terminal's reach: Ctrl-C is for us to hear and to act on.
    pub fn spawn(command: Command) -> io::Result<Self> {
        let child = spawn_tied(command, Signal::SIGKILL)?;
        Ok(Self {
            #[cfg(not(target_os = "linux"))]
            _watchdog: super::watchdog::Watchdog::guard(child.id(), Signal::SIGKILL)?,
            child,
        })
    }

    /// The child's process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How the child ended, `None` while it runs.
    pub fn exit_status(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Asks the child to end (SIGTERM) and waits; after `patience` it is killed. Blocks.
    pub fn stop(&mut self, patience: Duration) -> io::Result<()> {
        self.signal(Signal::SIGTERM);
        let begun = Instant::now();
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() >= patience {
                self.child.kill()?;
                self.child.wait()?;
                break;
            }
            thread::sleep(POLL_INTERVAL);
        }
        Ok(())
    }

    // It has not been reaped, so its id is its own.
    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.pid()) {
            let _ended_meanwhile = kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for TiedChild {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _reaped = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    fn sleeper() -> TiedChild {
        let mut command = Command::new("sleep");
        command.arg("60");
        TiedChild::spawn(command).unwrap()
    }

    #[test]
    fn a_child_ends_politely_when_it_is_stopped() {
        let mut child = sleeper();
        assert!(child.exit_status().unwrap().is_none());
        child.stop(Duration::from_secs(20)).unwrap();
        assert_eq!(child.exit_status().unwrap().unwrap().signal(), Some(15));
    }

    #[test]
    fn a_child_is_gone_when_it_is_dropped() {
        let child = sleeper();
        let pid = Pid::from_raw(i32::try_from(child.pid()).unwrap());
        assert!(kill(pid, None).is_ok());
        drop(child);
        assert!(kill(pid, None).is_err());
    }
}
