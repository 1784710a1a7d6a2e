//! Mail that a worker sends.
//!
//! | file | what |
//! |---|---|
//! | `letter` | what is in a mail: fixed texts, with what a tenant has chosen made harmless |
//! | `mailer` | how it leaves: to a mail server, into a folder, or not at all |

mod letter;
mod mailer;

pub use letter::Letter;
pub use mailer::{MailError, MailSettings, MailSettingsError, Mailer};
