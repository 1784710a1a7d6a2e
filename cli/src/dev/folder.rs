//! The data folder, and what is read back from it at the next start.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use unity_shared::{config::Settings, tenancy::random_base62};

use crate::servers::DataDirLock;

/// The data folder, locked for this process.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    _lock: DataDirLock,
}

/// `dev.json`: where everything is, for programs that join or test the stack.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DevRecord {
    /// The API's base URL.
    pub api_url: String,
    /// The base URL of `/healthz`, `/readyz` and `/metrics`.
    pub ops_url: String,
    /// PostgreSQL as the application's role.
    pub database_url: String,
    /// PostgreSQL as the owner of the schema.
    pub owner_database_url: String,
    /// Redis.
    pub redis_url: String,
    /// Path of the cluster's kubeconfig.
    pub kubeconfig: PathBuf,
    /// Path of the settings file with which other processes join.
    pub config: PathBuf,
    /// Where mails are written, one file each; absent where a mail server was given.
    #[serde(default)]
    pub mail_folder: Option<PathBuf>,
    /// A system administrator's key.
    pub admin_api_key: String,
    /// The demo tenant; absent with `--no-demo`.
    pub demo: Option<DemoRecord>,
}

/// The demo tenant in `dev.json`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DemoRecord {
    /// Its id.
    pub tenant_id: String,
    /// Its administrator's key.
    pub api_key: String,
    /// The provisioning job of this start.
    pub job_id: String,
}

impl Folder {
    /// Creates the folder if it is missing and locks it.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let lock = DataDirLock::acquire(path)?;
        let path = fs::canonicalize(path)
            .with_context(|| format!("could not open the data folder {}", path.display()))?;
        Ok(Self { path, _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn kubeconfig(&self) -> PathBuf {
        self.path.join("kubeconfig")
    }

    pub(super) fn settings_file(&self) -> PathBuf {
        self.path.join("unity.toml")
    }

    pub(super) fn cluster_state(&self) -> PathBuf {
        self.path.join("cluster.json")
    }

    pub(super) fn mail(&self) -> PathBuf {
        self.path.join("mail")
    }

    fn record_file(&self) -> PathBuf {
        self.path.join("dev.json")
    }

    /// What the last start wrote; none if there was none, or it cannot be read any more.
    pub(super) fn last_record(&self) -> Option<DevRecord> {
        let text = fs::read_to_string(self.record_file()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// The signing key of the last start, or a new one: page tokens outlive a restart.
    pub(super) fn secret_key(&self) -> String {
        let last = fs::read_to_string(self.settings_file())
            .ok()
            .and_then(|text| text.parse::<toml::Table>().ok())
            .and_then(|table| table.get("secret_key")?.as_str().map(str::to_owned));
        last.unwrap_or_else(|| random_base62(43))
    }

    /// Writes the settings file with which other processes join this stack.
    pub(super) fn write_settings(&self, settings: &Settings) -> Result<()> {
        let mut table = toml::Table::new();
        let secrets = [
            ("database_url", &settings.database_url),
            ("platform_database_url", &settings.platform_database_url),
            ("owner_database_url", &settings.owner_database_url),
            ("redis_url", &settings.redis_url),
            ("secret_key", &settings.secret_key),
            ("smtp_url", &settings.smtp_url),
        ];
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                table.insert(name.to_owned(), secret.reveal().into());
            }
        }
        table.insert(
            "redis_prefix".to_owned(),
            settings.redis_prefix.clone().into(),
        );
        let path = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let texts = [
            ("kubeconfig", path(&settings.kubeconfig)),
            ("kube_context", settings.kube_context.clone()),
            ("mail_folder", path(&settings.mail_folder)),
            ("mail_from", settings.mail_from.clone()),
            ("public_url", settings.public_url.clone()),
        ];
        for (name, text) in texts {
            if let Some(text) = text {
                table.insert(name.to_owned(), text.into());
            }
        }
        table.insert(
            "lease_seconds".to_owned(),
            i64::try_from(settings.lease_seconds)?.into(),
        );
        table.insert("probe_jobs".to_owned(), settings.probe_jobs.into());
        // Processes that join have ops ports of their own.
        table.insert("ops_listen".to_owned(), "127.0.0.1:0".into());
        write_private(&self.settings_file(), table.to_string().as_bytes())
    }
}

impl DevRecord {
    pub(super) fn write(&self, folder: &Folder) -> Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        write_private(&folder.record_file(), &text)
    }
}

/// Writes a file that only its owner may read, whole or not at all.
pub fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    let problem = || format!("could not write {}", path.display());
    let partial = path.with_extension("partial");
    // A left-over from a killed process may have other rights.
    let _ = fs::remove_file(&partial);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .with_context(problem)?;
    file.write_all(content).with_context(problem)?;
    file.sync_all().with_context(problem)?;
    fs::rename(&partial, path).with_context(problem)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_private_file_is_readable_by_its_owner_only_even_when_it_was_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev.json");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        write_private(&path, b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }
}
