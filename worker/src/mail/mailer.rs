//! How a mail leaves.

use std::{
    fmt,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use lettre::{
    Address, AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor,
    message::{Mailbox, header::ContentType},
};
use unity_shared::{
    config::{Secret, Settings},
    ids::JobId,
    people::MailTokens,
};

use super::Letter;

/// Everything about mail that an installation decides.
#[derive(Debug, Clone)]
pub struct MailSettings {
    /// The mail server; absent = none.
    pub smtp_url: Option<Secret>,
    /// A folder that mails are written into instead; absent = none.
    pub folder: Option<PathBuf>,
    /// Whom mails are from: an address, or `Name <address>`.
    pub from: String,
    /// The API's address for links; absent = mails have no link.
    pub public_url: Option<String>,
    /// Makes the tokens in mails; the same for the API.
    pub secret_key: Secret,
}

/// Why no mail can be sent with these settings.
#[derive(Debug, thiserror::Error)]
pub enum MailSettingsError {
    /// Not an address.
    #[error("the setting mail_from is no address")]
    From(#[source] lettre::address::AddressError),
    /// Not the address of a mail server.
    #[error("the setting smtp_url cannot be used")]
    SmtpUrl(#[source] lettre::transport::smtp::Error),
    /// A password would go over the network in clear.
    #[error("the setting smtp_url has a password and no TLS: say smtps://, or add ?tls=required")]
    PasswordInClear,
    /// Tokens cannot be made.
    #[error("the setting secret_key is missing: mails have tokens that it makes")]
    NoSecretKey,
}

/// Why a mail did not leave.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// This worker sends none.
    #[error("this worker sends no mail: set smtp_url and mail_from")]
    NotConfigured,
    /// The letter cannot be made into a mail.
    #[error("the mail cannot be written")]
    Unwritable(#[source] lettre::error::Error),
    /// The address cannot be in a mail.
    #[error("the address cannot be written in a mail")]
    Address(#[source] lettre::address::AddressError),
    /// The server said no for good.
    #[error("the mail server refused the mail with {code}")]
    Refused {
        /// Its reply, 500 to 599.
        code: u16,
        /// With its words, which stay inside.
        #[source]
        source: lettre::transport::smtp::Error,
    },
    /// The server said not now.
    #[error("the mail server put the mail off with {code}")]
    PutOff {
        /// Its reply, 400 to 499.
        code: u16,
        /// With its words, which stay inside.
        #[source]
        source: lettre::transport::smtp::Error,
    },
    /// There was no talking to the server.
    #[error("the mail server did not answer as a mail server does")]
    Unreachable(#[source] lettre::transport::smtp::Error),
    /// The folder cannot be written.
    #[error("the mail could not be written to the folder")]
    Folder(#[source] std::io::Error),
}

/// Sends mails. Clones share it.
#[derive(Clone)]
pub struct Mailer(Option<Arc<Configured>>);

struct Configured {
    way: Way,
    from: Mailbox,
    public_url: Option<String>,
    tokens: MailTokens,
}

enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Folder(PathBuf),
}

/// Longest wait for a mail server's answer to one command.
const PATIENCE: Duration = Duration::from_secs(20);

impl MailError {
    /// Whether the same mail may leave later.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::PutOff { .. } | Self::Unreachable(_) | Self::Folder(_) => true,
            Self::NotConfigured | Self::Unwritable(_) | Self::Address(_) | Self::Refused { .. } => {
                false
            }
        }
    }

    /// Stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "mail.not_configured",
            Self::Unwritable(_) | Self::Address(_) => "mail.unwritable",
            Self::Refused { .. } => "mail.refused",
            Self::PutOff { .. } => "mail.put_off",
            Self::Unreachable(_) => "mail.unreachable",
            Self::Folder(_) => "mail.folder",
        }
    }
}

impl MailSettings {
    /// What the settings say; absent = no mail is sent.
    pub fn of(settings: &Settings) -> Result<Option<Self>, MailSettingsError> {
        if settings.smtp_url.is_none() && settings.mail_folder.is_none() {
            return Ok(None);
        }
        let secret_key = settings.secret_key.clone();
        Ok(Some(Self {
            smtp_url: settings.smtp_url.clone(),
            folder: settings.mail_folder.clone(),
            from: settings.mail_from.clone().unwrap_or_default(),
            public_url: settings.public_url.clone(),
            secret_key: secret_key.ok_or(MailSettingsError::NoSecretKey)?,
        }))
    }
}

impl Mailer {
    /// One that sends none: jobs that would send fail and say what to set.
    #[must_use]
    pub const fn off() -> Self {
        Self(None)
    }

    /// One by these settings. Nothing is connected yet.
    pub fn new(settings: &MailSettings) -> Result<Self, MailSettingsError> {
        let MailSettings {
            smtp_url,
            folder,
            from,
            public_url,
            secret_key,
        } = settings;
        let way = match (smtp_url, folder) {
            (Some(url), _) => Way::Smtp(transport(url)?),
            (None, Some(folder)) => Way::Folder(folder.clone()),
            (None, None) => return Ok(Self::off()),
        };
        Ok(Self(Some(Arc::new(Configured {
            way,
            from: from.parse().map_err(MailSettingsError::From)?,
            public_url: public_url.clone(),
            tokens: MailTokens::new(secret_key),
        }))))
    }

    /// Makes the tokens in mails.
    pub fn tokens(&self) -> Result<&MailTokens, MailError> {
        Ok(&self.configured()?.tokens)
    }

    /// The API's address for links; absent = none is known.
    #[must_use]
    pub fn public_url(&self) -> Option<&str> {
        self.0.as_ref()?.public_url.as_deref()
    }

    /// Sends a letter for a job, and answers its Message-ID, which is the same however often the job
    /// is carried out: a server or a reader that has it already can tell.
    pub async fn send(
        &self,
        letter: &Letter,
        job: JobId,
        now: DateTime<Utc>,
    ) -> Result<String, MailError> {
        let Configured { way, from, .. } = self.configured()?;
        let message_id = format!("<{job}@{}>", from.email.domain());
        let mail = write(letter, from.clone(), &message_id, now)?;
        match way {
            Way::Smtp(transport) => {
                transport.send(mail).await.map_err(smtp_error)?;
            }
            Way::Folder(folder) => keep(folder, job, mail.formatted())
                .await
                .map_err(MailError::Folder)?,
        }
        Ok(message_id)
    }

    fn configured(&self) -> Result<&Configured, MailError> {
        self.0.as_deref().ok_or(MailError::NotConfigured)
    }
}

impl fmt::Debug for Mailer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let way = self.0.as_ref().map(|configured| match &configured.way {
            Way::Smtp(_) => "smtp".to_owned(),
            Way::Folder(folder) => folder.display().to_string(),
        });
        f.debug_struct("Mailer").field("way", &way).finish()
    }
}

fn transport(url: &Secret) -> Result<AsyncSmtpTransport<Tokio1Executor>, MailSettingsError> {
    let text = url.reveal();
    let (scheme, rest) = text.split_once("://").unwrap_or_default();
    if scheme == "smtp" && rest.contains('@') && !rest.ends_with("?tls=required") {
        return Err(MailSettingsError::PasswordInClear);
    }
    let builder =
        AsyncSmtpTransport::<Tokio1Executor>::from_url(text).map_err(MailSettingsError::SmtpUrl)?;
    Ok(builder.timeout(Some(PATIENCE)).build())
}

fn write(
    letter: &Letter,
    from: Mailbox,
    message_id: &str,
    now: DateTime<Utc>,
) -> Result<Message, MailError> {
    let Letter { to, subject, text } = letter;
    let to: Address = to.as_str().parse().map_err(MailError::Address)?;
    Message::builder()
        .from(from)
        .to(Mailbox::new(None, to))
        .subject(subject.as_str())
        .message_id(Some(message_id.to_owned()))
        .date(now.into())
        .header(ContentType::TEXT_PLAIN)
        .body(text.clone())
        .map_err(MailError::Unwritable)
}

fn smtp_error(error: lettre::transport::smtp::Error) -> MailError {
    let code = error.status().map(u16::from);
    match code {
        Some(code) if error.is_permanent() => MailError::Refused {
            code,
            source: error,
        },
        Some(code) => MailError::PutOff {
            code,
            source: error,
        },
        None => MailError::Unreachable(error),
    }
}

/// Writes the mail whole or not at all, under the job's name: a second attempt writes the same file.
/// Only its owner may read it, for it has a token.
async fn keep(folder: &Path, job: JobId, mail: Vec<u8>) -> std::io::Result<()> {
    let folder = folder.to_owned();
    let writing = move || {
        std::fs::create_dir_all(&folder)?;
        let partial = folder.join(format!("{job}.partial"));
        let _ = std::fs::remove_file(&partial);
        let mut file = std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&partial)?;
        std::io::Write::write_all(&mut file, &mail)?;
        std::fs::rename(&partial, folder.join(format!("{job}.eml")))
    };
    tokio::task::spawn_blocking(writing)
        .await
        .map_err(std::io::Error::other)?
}

#[cfg(test)]
mod tests {
    use unity_shared::people::EmailAddress;

    use super::*;

    fn settings(folder: Option<&Path>, smtp_url: Option<&str>) -> MailSettings {
        MailSettings {
            smtp_url: smtp_url.map(Secret::new),
            folder: folder.map(Path::to_owned),
            from: "Unity <unity@example.com>".to_owned(),
            public_url: None,
            secret_key: Secret::new("0123456789abcdef0123456789abcdef"),
        }
    }

    fn letter() -> Letter {
        Letter {
            to: EmailAddress::parse("jürgen@example.org").unwrap(),
            subject: "Grüße".to_owned(),
            text: "first\nsecond\n".to_owned(),
        }
    }

    #[tokio::test]
    async fn a_mail_in_a_folder_is_the_same_file_however_often_it_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let mailer = Mailer::new(&settings(Some(folder.path()), None)).unwrap();
        let job = JobId::new();
        for _ in 0..2 {
            let id = mailer
                .send(&letter(), job, DateTime::UNIX_EPOCH)
                .await
                .unwrap();
            assert_eq!(id, format!("<{job}@example.com>"));
        }
        let files: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert_eq!(files.len(), 1);
        let text = std::fs::read_to_string(folder.path().join(format!("{job}.eml"))).unwrap();
        for line in [
            "From: Unity <unity@example.com>",
            &format!("Message-ID: <{job}@example.com>"),
            "Date: Thu, 01 Jan 1970 00:00:00 +0000",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }

    #[tokio::test]
    async fn without_settings_no_mail_is_sent_and_no_retry_helps() {
        let error = Mailer::off()
            .send(&letter(), JobId::new(), DateTime::UNIX_EPOCH)
            .await
            .unwrap_err();
        assert_eq!(error.code(), "mail.not_configured");
        assert!(!error.retryable());
    }

    #[test]
    fn a_password_does_not_go_over_the_network_in_clear() {
        let judge = |url: &str| Mailer::new(&settings(None, Some(url))).map(|_| ());
        for good in [
            "smtp://localhost:25",
            "smtps://user:password@mail.example.com",
            "smtp://user:password@mail.example.com:587?tls=required",
        ] {
            assert!(judge(good).is_ok(), "{good}");
        }
        for bad in [
            "smtp://user:password@mail.example.com",
            "smtp://user:password@mail.example.com:587?tls=opportunistic",
        ] {
            assert!(
                matches!(judge(bad), Err(MailSettingsError::PasswordInClear)),
                "{bad}"
            );
        }
        for bad in ["", "mail.example.com", "http://mail.example.com"] {
            assert!(
                matches!(judge(bad), Err(MailSettingsError::SmtpUrl(_))),
                "{bad}"
            );
        }
    }
}
