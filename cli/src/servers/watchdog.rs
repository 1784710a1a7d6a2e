//! Where the kernel cannot tie a child to its parent (everywhere but on Linux): a shell that waits
//! at the end of a pipe which only we hold open, and stops the server when the pipe closes.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::Signal;

/// The waiting shell; dropping it calls the watch off.
pub(super) struct Watchdog {
    shell: Child,
}

impl Watchdog {
    /// Sends `signal` to the process `pid` when this process ends, however it ends.
    pub(super) fn guard(pid: u32, signal: Signal) -> io::Result<Self> {
        let name = signal.as_str().trim_start_matches("SIG");
        let shell = Command::new("/bin/sh")
            .args(["-c", r#"read -r _; kill -s "$1" "$2""#, "sh", name])
            .arg(pid.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Out of the terminal's group: Ctrl-C must not end the watch.
            .process_group(0)
            .spawn()?;
        Ok(Self { shell })
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        let _gone_already = self.shell.kill();
        let _reaped = self.shell.wait();
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    fn sleeper() -> Child {
        Command::new("sleep").arg("60").spawn().unwrap()
    }

    #[test]
    fn process_is_signalled_when_the_pipe_closes() {
        let mut server = sleeper();
        let mut watchdog = Watchdog::guard(server.id(), Signal::SIGTERM).unwrap();
        // What the system does with our end of the pipe when we die.
        drop(watchdog.shell.stdin.take());
        let status = server.wait().unwrap();
        assert_eq!(status.signal(), Some(15));
    }

    #[test]
    fn process_lives_on_when_the_watch_is_called_off() {
        let mut server = sleeper();
        drop(Watchdog::guard(server.id(), Signal::SIGTERM).unwrap());
        assert!(server.try_wait().unwrap().is_none());
        server.kill().unwrap();
        assert_eq!(server.wait().unwrap().signal(), Some(9));
    }
}
