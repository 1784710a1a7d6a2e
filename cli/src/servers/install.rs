//! Installs PostgreSQL and Redis with the system's package manager, or says exactly how to.
//!
//! Only the programs are wanted. What the packages would do besides (make a cluster, start services
//! now and at each boot) `install.sh` keeps from happening, and removes what it needed for that.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;

use super::error::ServersError;
use super::log::last_lines;
use super::programs::{Missing, POSTGRES_MINIMUM, REDIS_MINIMUM};

const SCRIPT: &str = include_str!("install.sh");
/// The script's status when the system's release of a package is too old.
const TOO_OLD: i32 = 3;

/// Installs what is missing; `path` is where the tools are looked for.
pub(super) fn install(
    missing: Missing,
    path: &OsStr,
    announce: &dyn Fn(&str),
) -> Result<(), ServersError> {
    let manager = Manager::on(path);
    let rights = Rights::of_this_process(path);
    let (Some(Manager::Apt), Some(rights)) = (manager, rights) else {
        let reason = match manager {
            Some(Manager::Apt) => "installing needs root, or sudo",
            Some(_) | None => "they can be installed automatically on Debian and Ubuntu only",
        };
        return Err(ServersError::Missing {
            missing: missing.describe(),
            reason: reason.to_owned(),
            command: advice(manager, missing, geteuid().is_root()),
        });
    };
    let command = advice(Some(Manager::Apt), missing, matches!(rights, Rights::Root));
    announce(&format!(
        "{} not found; installing with: {command}",
        missing.describe()
    ));
    run_script(rights, missing, command)
}

fn run_script(rights: Rights, missing: Missing, command: String) -> Result<(), ServersError> {
    let mut process = rights.command();
    let packages = packages(Manager::Apt, missing);
    let output = process
        .args(["-c", SCRIPT, "unity-install"])
        .args(
            packages
                .iter()
                .map(|(name, oldest)| format!("{name}:{oldest}")),
        )
        .current_dir("/")
        .stdin(Stdio::null())
        .output()
        .map_err(|source| ServersError::Run {
            program: PathBuf::from(process.get_program()),
            source,
        })?;
    if output.status.success() {
        return Ok(());
    }
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.code() == Some(TOO_OLD) {
        let detail = text.lines().last().unwrap_or_default().to_owned();
        return Err(ServersError::PackagesTooOld { detail });
    }
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    Err(ServersError::Install {
        command,
        status: output.status,
        tail: last_lines(&text),
    })
}

/// The right to install, and how to use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rights {
    Root,
    /// `sudo` without a password.
    Sudo,
    /// `sudo` that may ask on the terminal.
    SudoAsking,
}

impl Rights {
    fn of_this_process(path: &OsStr) -> Option<Self> {
        if geteuid().is_root() {
            return Some(Self::Root);
        }
        if !is_on(path, "sudo") {
            return None;
        }
        let passwordless = Command::new("sudo")
            .args(["-n", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if passwordless {
            return Some(Self::Sudo);
        }
        // sudo asks on the terminal itself; both ends tell whether somebody sits there.
        (io::stdin().is_terminal() && io::stderr().is_terminal()).then_some(Self::SudoAsking)
    }

    fn command(self) -> Command {
        match self {
            Self::Root => Command::new("sh"),
            Self::Sudo => {
                let mut command = Command::new("sudo");
                command.args(["-n", "sh"]);
                command
            }
            Self::SudoAsking => {
                let mut command = Command::new("sudo");
                command.arg("sh");
                command
            }
        }
    }
}

/// A package manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    Apt,
    Dnf,
    Zypper,
    Pacman,
    Apk,
    Brew,
}

impl Manager {
    const ALL: [Self; 6] = [
        Self::Apt,
        Self::Dnf,
        Self::Zypper,
        Self::Pacman,
        Self::Apk,
        Self::Brew,
    ];

    fn on(path: &OsStr) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|manager| is_on(path, manager.program()))
    }

    fn program(self) -> &'static str {
        match self {
            Self::Apt => "apt-get",
            Self::Dnf => "dnf",
            Self::Zypper => "zypper",
            Self::Pacman => "pacman",
            Self::Apk => "apk",
            Self::Brew => "brew",
        }
    }
}

/// The packages that bring what is missing, each with the oldest usable major version.
fn packages(manager: Manager, missing: Missing) -> Vec<(&'static str, u32)> {
    let (postgres, redis) = match manager {
        Manager::Apt => ("postgresql", "redis-server"),
        Manager::Dnf | Manager::Zypper => ("postgresql-server", "redis"),
        Manager::Pacman => ("postgresql", "valkey"),
        Manager::Apk => ("postgresql", "redis"),
        Manager::Brew => ("postgresql@17", "redis"),
    };
    let mut packages = Vec::new();
    if missing.postgres {
        packages.push((postgres, POSTGRES_MINIMUM));
    }
    if missing.redis {
        packages.push((redis, REDIS_MINIMUM));
    }
    packages
}

/// The command to run in a shell, or words where no package manager is known.
fn advice(manager: Option<Manager>, missing: Missing, as_root: bool) -> String {
    let Some(manager) = manager else {
        return "your system's package manager".to_owned();
    };
    let sudo = if as_root { "" } else { "sudo " };
    let names: Vec<&str> = packages(manager, missing)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    let names = names.join(" ");
    match manager {
        Manager::Apt => format!(
            "{sudo}apt-get update && {sudo}env DEBIAN_FRONTEND=noninteractive apt-get \
             -o DPkg::Lock::Timeout=300 install -y --no-install-recommends {names}"
        ),
        Manager::Dnf => format!("{sudo}dnf install -y {names}"),
        Manager::Zypper => format!("{sudo}zypper --non-interactive install {names}"),
        Manager::Pacman => format!("{sudo}pacman -S --needed --noconfirm {names}"),
        Manager::Apk => format!("{sudo}apk add {names}"),
        // Homebrew refuses root.
        Manager::Brew => format!("brew install {names}"),
    }
}

fn is_on(path: &OsStr, program: &str) -> bool {
    env::split_paths(path).any(|folder| folder.is_absolute() && folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Missing = Missing {
        postgres: true,
        redis: true,
    };

    #[test]
    fn command_names_what_is_missing_and_nothing_else() {
        let redis = Missing {
            postgres: false,
            ..BOTH
        };
        assert_eq!(
            advice(Some(Manager::Apt), redis, true),
            "apt-get update && env DEBIAN_FRONTEND=noninteractive apt-get \
             -o DPkg::Lock::Timeout=300 install -y --no-install-recommends redis-server"
        );
        assert_eq!(
            advice(Some(Manager::Dnf), BOTH, false),
            "sudo dnf install -y postgresql-server redis"
        );
        assert_eq!(
            advice(Some(Manager::Brew), BOTH, false),
            "brew install postgresql@17 redis"
        );
    }

    #[test]
    fn machine_without_a_known_package_manager_gets_the_names_of_what_is_missing() {
        let empty = tempfile::tempdir().unwrap();
        let error = install(BOTH, empty.path().as_os_str(), &|text| panic!("{text}")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "PostgreSQL 15 or newer and Redis 7 or newer not found (they can be installed \
             automatically on Debian and Ubuntu only); install with: your system's package manager"
        );
    }

    #[test]
    fn package_manager_is_recognised_by_its_program() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("apk"), "").unwrap();
        assert_eq!(Manager::on(folder.path().as_os_str()), Some(Manager::Apk));
        assert_eq!(Manager::on(OsStr::new("/nowhere")), None);
    }
}
